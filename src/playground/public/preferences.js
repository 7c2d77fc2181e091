import { storage } from './storage.js';

const MODEL = 'sluice.model';
const POLICY = 'sluice.policy';
const KEY = 'sluice.key';
const THEME = 'sluice.theme';
const OPEN_ID = 'sluice.open';
const DRAFT = 'sluice.draft';

/** What is remembered beside the conversations. */
export class Preferences {
  #lasting = storage('localStorage');
  #ofTab = storage('sessionStorage');
  /** What there was no room for, until the page is left. @type {Map<string, string>} */
  #unkept = new Map();

  /** For the next conversation; empty for the server's default. */
  get model() {
    return this.#get(MODEL) ?? '';
  }

  set model(model) {
    this.#keep(MODEL, model);
  }

  get policy() {
    return this.#get(POLICY) ?? 'grace=120';
  }

  set policy(policy) {
    this.#keep(POLICY, policy);
  }

  get theme() {
    return this.#get(THEME) ?? 'system';
  }

  set theme(theme) {
    this.#keep(THEME, theme);
  }

  /** The conversation on screen; empty in a new tab. */
  get openId() {
    return this.#ofTab.getItem(OPEN_ID) ?? '';
  }

  set openId(id) {
    this.#keep(OPEN_ID, id, this.#ofTab);
  }

  /** What was written and not sent. */
  get draft() {
    return this.#ofTab.getItem(DRAFT) ?? '';
  }

  set draft(draft) {
    this.#keep(DRAFT, draft, this.#ofTab);
  }

  /** The API key; empty for none. */
  get key() {
    return this.#ofTab.getItem(KEY) ?? this.#get(KEY) ?? '';
  }

  get isKeyKept() {
    return this.#lasting.getItem(KEY) !== null;
  }

  /**
   * @param {string} key
   * @param {boolean} isKept whether also for later visits
   */
  setKey(key, isKept) {
    this.#ofTab.removeItem(KEY);
    this.#lasting.removeItem(KEY);
    this.#unkept.delete(KEY);
    if (key !== '') this.#keep(KEY, key, isKept ? this.#lasting : this.#ofTab);
  }

  /** @param {string} name */
  #get(name) {
    return this.#unkept.get(name) ?? this.#lasting.getItem(name);
  }

  /**
   * @param {string} name
   * @param {string} value
   * @param {import('./storage.js').Items} [items]
   */
  #keep(name, value, items = this.#lasting) {
    try {
      items.setItem(name, value);
      this.#unkept.delete(name);
    } catch {
      this.#unkept.set(name, value);
    }
  }
}
