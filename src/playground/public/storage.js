/** Where nothing may be stored, it is kept until the page is left. */
class MemoryStorage {
  /** @type {Map<string, string>} */
  #items = new Map();

  get length() {
    return this.#items.size;
  }

  /** @param {number} index */
  key(index) {
    return [...this.#items.keys()][index] ?? null;
  }

  /** @param {string} key */
  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  /**
   * @param {string} key
   * @param {string} value
   */
  setItem(key, value) {
    this.#items.set(key, value);
  }

  /** @param {string} key */
  removeItem(key) {
    this.#items.delete(key);
  }
}

/** @typedef {Pick<Storage, 'length' | 'key' | 'getItem' | 'setItem' | 'removeItem'>} Items */

/**
 * The browser's storage, or one that lasts as long as the page where the browser grants none.
 * @param {'localStorage' | 'sessionStorage'} kind
 * @returns {Items}
 */
export function storage(kind) {
  try {
    const items = globalThis[kind];
    items.getItem('');
    return items;
  } catch {
    return new MemoryStorage();
  }
}
