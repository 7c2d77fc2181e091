import { storage } from './storage.js';

const MODEL = 'sluice.model';
const POLICY = 'sluice.policy';
const KEY = 'sluice.key';
const THEME = 'sluice.theme';

/** What is remembered beside the conversations. */
export class Preferences {
  #lasting = storage('localStorage');
  #ofTab = storage('sessionStorage');

  /** For the next conversation; empty for the server's default. */
  get model() {
    return this.#lasting.getItem(MODEL) ?? '';
  }

  set model(model) {
    this.#keep(MODEL, model);
  }

  get policy() {
    return this.#lasting.getItem(POLICY) ?? 'grace=120';
  }

  set policy(policy) {
    this.#keep(POLICY, policy);
  }

  get theme() {
    return this.#lasting.getItem(THEME) ?? 'system';
  }

  set theme(theme) {
    this.#keep(THEME, theme);
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  #keep(name, value) {
    try {
      this.#lasting.setItem(name, value);
    } catch {
      // Full: it is set again next time.
    }
  }

  /** The API key; empty for none. */
  get key() {
    return this.#ofTab.getItem(KEY) ?? this.#lasting.getItem(KEY) ?? '';
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
    if (key !== '') (isKept ? this.#lasting : this.#ofTab).setItem(KEY, key);
  }
}
