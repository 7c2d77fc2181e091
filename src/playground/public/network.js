/** As long as a timer can be, about. */
const LONG_MS = 2 ** 30;

/** The page's own network, which it can lose on purpose. Dispatches `change`. */
export class Network extends EventTarget {
  #isOn = true;
  #cut = new AbortController();

  get isOn() {
    return this.#isOn;
  }

  /** Cuts every connection and lets no other begin, or lets them again. */
  set isOn(isOn) {
    if (isOn === this.#isOn) return;
    this.#isOn = isOn;
    if (isOn) this.#cut = new AbortController();
    else this.#cut.abort();
    this.dispatchEvent(new Event('change'));
  }

  /**
   * `fetch`, as far as the network goes.
   * @param {URL} url
   * @param {RequestInit} init
   */
  fetch(url, { signal, ...init }) {
    const signals = [this.#cut.signal, ...(signal ? [signal] : [])];
    return fetch(url, { ...init, signal: AbortSignal.any(signals) });
  }

  /**
   * Resolves after a time, or as soon as the network is another.
   * @param {number} ms
   */
  async wait(ms) {
    const over = new AbortController();
    const { promise, resolve } = Promise.withResolvers();
    const options = { once: true, signal: over.signal };
    const timer = setTimeout(resolve, ms);
    this.addEventListener('change', resolve, options);
    globalThis.addEventListener('online', resolve, options);
    await promise;
    clearTimeout(timer);
    over.abort();
  }

  /** Resolves when the network is on, at once where it is. */
  async whenOn() {
    while (!this.#isOn) await this.wait(LONG_MS);
  }
}
