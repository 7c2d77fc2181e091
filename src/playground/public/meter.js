/** How many of the last gaps are kept. */
const MAX_GAPS = 240;
/** What was missed comes at once when the connection is back: that is no pace of the model's. */
const CATCHING_UP_MS = 100;

/**
 * @typedef {object} Gap
 * @property {number} ms
 * @property {boolean} [isCut] the connection was lost within it
 *
 * @typedef {object} Figures times in milliseconds of the clock, to be kept over a reload
 * @property {number} askedAt
 * @property {number} [firstAt]
 * @property {number} [lastAt]
 * @property {number} tokens
 * @property {Gap[]} gaps
 */

/** Measures an answer as whoever waits for it does: from the question, token by token. */
export class Meter {
  #isCut;
  #caughtUpAt = 0;

  /** @returns {Figures} */
  static start() {
    return { askedAt: now(), tokens: 0, gaps: [] };
  }

  /**
   * @param {Figures} figures
   * @param {boolean} isCut whether the connection was lost just before
   */
  constructor(figures, isCut = false) {
    this.figures = figures;
    this.#isCut = isCut;
  }

  /** A token came. */
  token() {
    const { figures } = this;
    const at = now();
    figures.firstAt ??= at;
    if (this.#isCut) this.#caughtUpAt = at + CATCHING_UP_MS;
    if (figures.lastAt !== undefined && (this.#isCut || at > this.#caughtUpAt)) {
      const ms = Math.round((at - figures.lastAt) * 10) / 10;
      figures.gaps.push(this.#isCut ? { ms, isCut: true } : { ms });
      if (figures.gaps.length > MAX_GAPS) figures.gaps.shift();
    }
    figures.lastAt = at;
    figures.tokens += 1;
    this.#isCut = false;
  }

  /** The connection was lost. */
  cut() {
    this.#isCut = true;
  }
}

/**
 * Time to first token, in milliseconds.
 * @param {Figures} figures
 */
export function ttftOf({ askedAt, firstAt }) {
  return firstAt === undefined ? undefined : firstAt - askedAt;
}

/**
 * Tokens a second, from the first to the last.
 * @param {Figures} figures
 */
export function rateOf({ firstAt = 0, lastAt = 0, tokens }) {
  return tokens < 2 || lastAt <= firstAt ? undefined : ((tokens - 1) * 1000) / (lastAt - firstAt);
}

/**
 * @param {Figures} figures
 * @param {number} share from 0 to 1
 */
export function gapAt({ gaps }, share) {
  const sorted = gaps.map(({ ms }) => ms).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** In milliseconds; monotonic within a page, and comparable between two loads of it. */
export function now() {
  return performance.timeOrigin + performance.now();
}
