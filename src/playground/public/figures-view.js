import { asTime } from './as-time.js';
import { byId } from './dom.js';
import { GapsPlot } from './gaps-plot.js';
import { now, rateOf, ttftOf } from './meter.js';

/** Figures that change faster can't be read. */
const UPDATE_MS = 100;

/** @typedef {import('./answer.js').Answer} Answer */

/** What is measured of the answer on screen. */
export class FiguresView {
  #ttft = byId('ttft', HTMLElement);
  #rate = byId('rate', HTMLElement);
  #tokens = byId('tokens', HTMLElement);
  #plot = new GapsPlot(byId('gaps', HTMLCanvasElement));
  #notBefore = 0;

  /** @param {Answer | undefined} answer */
  show(answer) {
    this.#update(answer);
    this.#plot.describe(answer?.figures);
  }

  /**
   * While an answer grows; may be called as often as one likes.
   * @param {Answer} answer
   */
  grow(answer) {
    const at = now();
    if (at < this.#notBefore) return;
    this.#notBefore = at + UPDATE_MS;
    this.#update(answer);
  }

  /** @param {Answer | undefined} answer */
  #update(answer) {
    const figures = answer?.figures;
    const isWaiting = answer?.status === 'pending' && figures?.firstAt === undefined;
    const waitedMs = isWaiting && figures ? now() - figures.askedAt : undefined;
    const rate = figures && rateOf(figures);
    this.#ttft.textContent = asTime((figures && ttftOf(figures)) ?? waitedMs);
    this.#rate.textContent = rate === undefined ? '–' : rate.toFixed(1);
    this.#tokens.textContent = answer ? countOf(answer) : '–';
    this.#plot.show(figures);
  }
}

/**
 * The server's count where there is one; until then what came here, a token an event.
 * @param {Answer} answer
 */
export function countOf({ usage, figures }) {
  if (!usage) return String(figures.tokens);
  return `${usage.source === 'estimated' ? '≈ ' : ''}${usage.completion_tokens}`;
}

/** @param {string} count */
export function tokensOf(count) {
  return count === '1' ? '1 token' : `${count} tokens`;
}
