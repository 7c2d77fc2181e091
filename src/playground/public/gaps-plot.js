import { asTime } from './as-time.js';
import { gapAt } from './meter.js';

const BAR_WIDTH = 3;
const BAR_GAP = 1;
const LABEL_WIDTH = 40;
/** The scale is logarithmic: a pause of seconds must not flatten the rest. */
const LEAST_MS = 2;
const MOST_MS = 4_000;
const LINES_MS = /** @type {const} */ ([10, 100, 1_000]);

/** @typedef {import('./meter.js').Figures} Figures */

/** The gaps between an answer's last tokens, the newest to the right. */
export class GapsPlot {
  #canvas;
  #context;
  /** @type {Figures | undefined} */
  #figures;

  /** @param {HTMLCanvasElement} canvas coloured by its style: bars, lines and cuts */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d');
    const draw = () => this.#draw();
    new ResizeObserver(draw).observe(canvas);
    new MutationObserver(draw).observe(document.documentElement, {
      attributeFilter: ['data-theme'],
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  }

  /** @param {Figures | undefined} figures */
  show(figures) {
    this.#figures = figures;
    this.#draw();
  }

  /**
   * Tells in words what the picture shows; not for every token.
   * @param {Figures | undefined} figures
   */
  describe(figures) {
    const what =
      figures && figures.gaps.length > 0
        ? `median ${asTime(gapAt(figures, 0.5))}, 99th percentile ${asTime(gapAt(figures, 0.99))}`
        : 'nothing measured yet';
    this.#canvas.setAttribute('aria-label', `Gaps between tokens: ${what}`);
    this.#canvas.title = `Gaps between tokens: ${what}`;
  }

  #draw() {
    const context = this.#context;
    if (!context) return;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const style = getComputedStyle(this.#canvas);
    this.#fit(width, height);
    context.clearRect(0, 0, width, height);

    context.font = style.font;
    context.textAlign = 'right';
    for (const ms of LINES_MS) {
      const y = Math.round(height - heightOf(ms, height));
      context.fillStyle = style.borderColor;
      context.fillRect(0, y, width - LABEL_WIDTH, 1);
      context.fillStyle = style.caretColor;
      context.fillText(asTime(ms), width, y + 4);
    }
    const bars = Math.max(0, Math.floor((width - LABEL_WIDTH) / (BAR_WIDTH + BAR_GAP)));
    const gaps = bars > 0 ? (this.#figures?.gaps.slice(-bars) ?? []) : [];
    gaps.forEach(({ ms, isCut }, index) => {
      const barHeight = heightOf(ms, height);
      context.fillStyle = isCut ? style.outlineColor : style.color;
      context.fillRect(index * (BAR_WIDTH + BAR_GAP), height - barHeight, BAR_WIDTH, barHeight);
    });
  }

  /**
   * As many pixels as the screen shows.
   * @param {number} width
   * @param {number} height
   */
  #fit(width, height) {
    const ratio = devicePixelRatio;
    const pixels = { width: Math.round(width * ratio), height: Math.round(height * ratio) };
    const { width: w, height: h } = this.#canvas;
    if (w !== pixels.width || h !== pixels.height) Object.assign(this.#canvas, pixels);
    this.#context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  }
}

/**
 * @param {number} ms
 * @param {number} height of the whole plot
 */
function heightOf(ms, height) {
  const bounded = Math.min(Math.max(ms, LEAST_MS), MOST_MS);
  const share = Math.log(bounded / LEAST_MS) / Math.log(MOST_MS / LEAST_MS);
  return Math.max(1, Math.round(share * height));
}
