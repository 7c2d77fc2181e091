import { newAnswer } from './answer.js';
import { randomId } from './random-id.js';

const PREFIX = 'sluice.conversation.';
const MAX_CONVERSATIONS = 50;
const MAX_TITLE = 60;

/**
 * @typedef {object} Turn
 * @property {string} question
 * @property {import('./answer.js').Answer} answer
 *
 * @typedef {object} Conversation plain data, to be kept
 * @property {string} id
 * @property {string} title empty until something was asked
 * @property {string} model empty for the server's default
 * @property {string} system
 * @property {string} policy what becomes of a run when the page leaves
 * @property {number} updatedAt
 * @property {Turn[]} turns
 */

/**
 * @param {{ model: string, policy: string }} preferences
 * @returns {Conversation}
 */
export function newConversation({ model, policy }) {
  const id = randomId();
  return { id, title: '', model, system: '', policy, updatedAt: Date.now(), turns: [] };
}

/**
 * Asks something in a conversation.
 * @param {Conversation} conversation
 * @param {string} question
 * @returns {Turn}
 */
export function ask(conversation, question) {
  const turn = { question, answer: newAnswer(conversation) };
  conversation.turns.push(turn);
  conversation.title ||= titleOf(question);
  conversation.updatedAt = Date.now();
  return turn;
}

/**
 * What is sent for a turn: all that was said before it, and its question.
 * @param {Conversation} conversation
 * @param {Turn} turn
 * @returns {import('./api.js').ChatRequest}
 */
export function requestOf({ turns }, { question, answer }) {
  const before = turns.slice(
    0,
    turns.findIndex((turn) => turn.answer === answer),
  );
  return chatRequest(answer, before, question);
}

/**
 * @param {{ model: string, system: string }} asked
 * @param {Turn[]} before
 * @param {string} question
 * @returns {import('./api.js').ChatRequest}
 */
export function chatRequest({ model, system }, before, question) {
  /** @type {import('./api.js').ChatMessage[]} */
  const messages = before.flatMap((turn) => [
    { role: 'user', content: turn.question },
    // Without a text there was no answer that could be referred to.
    ...(turn.answer.text
      ? [/** @type {const} */ ({ role: 'assistant', content: turn.answer.text })]
      : []),
  ]);
  if (system.trim()) messages.unshift({ role: 'system', content: system });
  messages.push({ role: 'user', content: question });
  return { ...(model && { model }), messages };
}

/**
 * Whether two tabs' views of a conversation end with the same event of the same answer.
 * @param {Conversation} one
 * @param {Conversation} other
 */
export function isAsFarAs(one, other) {
  const [end, otherEnd] = [one, other].map(({ turns }) =>
    JSON.stringify(turns.at(-1)?.answer.cursor),
  );
  return end === otherEnd;
}

/**
 * Whether another tab's view of a conversation ends with a question that this one has not.
 * @param {Conversation} other
 * @param {Conversation} own
 */
export function isAhead(other, own) {
  const last = other.turns.at(-1)?.answer.cursor.idempotencyKey;
  return own.turns.every(({ answer }) => answer.cursor.idempotencyKey !== last);
}

/**
 * The conversations that this browser keeps. Dispatches `change`, with its id, when another tab
 * changed one.
 */
export class Conversations extends EventTarget {
  /** @type {Map<string, Conversation>} */
  #all = new Map();
  /** @type {Set<string>} */
  #removed = new Set();
  /** What there is no room for, even without the others. @type {Set<string>} */
  #tooLarge = new Set();
  #items;

  /** @param {import('./storage.js').Items} items */
  constructor(items) {
    super();
    this.#items = items;
    const keys = Array.from({ length: items.length }, (_, index) => items.key(index) ?? '');
    for (const key of keys) this.#read(key);
    globalThis.addEventListener('storage', ({ key }) => {
      if (!key?.startsWith(PREFIX)) return;
      this.#read(key);
      this.dispatchEvent(new CustomEvent('change', { detail: key.slice(PREFIX.length) }));
    });
  }

  /** @returns {Conversation[]} the latest first */
  list() {
    return [...this.#all.values()].sort((a, b) => b.updatedAt - a.updatedAt);
  }

  /**
   * @param {string} id
   * @returns {Conversation | undefined} as it was kept last, by whichever tab
   */
  get(id) {
    return this.#all.get(id);
  }

  /**
   * Keeps a conversation, and gives up the oldest others where there is no room for it.
   * @param {Conversation} conversation
   * @returns {boolean} whether there was room
   */
  save(conversation) {
    // Its last answer may still be coming to its end.
    if (this.#removed.has(conversation.id)) return true;
    this.#all.set(conversation.id, conversation);
    const others = this.list().filter(({ id }) => id !== conversation.id);
    while (others.length >= MAX_CONVERSATIONS) this.remove(others.pop()?.id ?? '');
    const key = PREFIX + conversation.id;
    const json = JSON.stringify(conversation);
    /** @type {Map<string, string>} */
    const evicted = new Map();
    while (!this.#store(key, json)) {
      const oldest = this.#tooLarge.has(conversation.id) ? undefined : others.pop();
      if (!oldest) {
        this.#tooLarge.add(conversation.id);
        for (const [id, kept] of evicted) this.#store(PREFIX + id, kept);
        return false;
      }
      const kept = this.#items.getItem(PREFIX + oldest.id);
      if (kept !== null) evicted.set(oldest.id, kept);
      this.#items.removeItem(PREFIX + oldest.id);
    }
    this.#tooLarge.delete(conversation.id);
    for (const id of evicted.keys()) this.remove(id);
    return true;
  }

  /**
   * Whether there was room when it was saved last.
   * @param {string} id
   */
  hasRoomFor(id) {
    return !this.#tooLarge.has(id);
  }

  /**
   * @param {string} key
   * @param {string} json
   * @returns {boolean} whether there was room
   */
  #store(key, json) {
    try {
      this.#items.setItem(key, json);
      return true;
    } catch {
      return false;
    }
  }

  /** @param {string} id */
  remove(id) {
    this.#all.delete(id);
    this.#removed.add(id);
    this.#items.removeItem(PREFIX + id);
  }

  /**
   * Takes in what is stored, unless another version of the page wrote it.
   * @param {string} key
   */
  #read(key) {
    if (!key.startsWith(PREFIX)) return;
    const id = key.slice(PREFIX.length);
    try {
      const conversation = /** @type {Conversation} */ (JSON.parse(this.#items.getItem(key) ?? ''));
      if (Array.isArray(conversation.turns)) this.#all.set(id, conversation);
    } catch {
      this.#all.delete(id);
    }
  }
}

/** @param {string} question */
function titleOf(question) {
  const line = question.trim().split('\n')[0] ?? '';
  return line.length > MAX_TITLE ? `${line.slice(0, MAX_TITLE).trimEnd()}…` : line;
}
