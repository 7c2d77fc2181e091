import { gapAt } from './meter.js';

const BAR_WIDTH = 3;
const BAR_GAP = 1;
/** The scale is logarithmic: a pause of seconds must not flatten the rest. */
const LEAST_MS = 1;
const MOST_MS = 10_000;
const LINES_MS = [10, 100, 1_000];

/** The gaps between an answer's last tokens, the newest to the right. */
export class GapsPlot {
  #canvas;
  #context;
  /** @type {import('./meter.js').Figures | undefined} */
  #figures;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d');
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
  }

  /** @param {import('./meter.js').Figures | undefined} figures */
  show(figures) {
    this.#figures = figures;
    this.#draw();
  }

  /**
   * Tells in words what the picture shows; not for every token.
   * @param {import('./meter.js').Figures | undefined} figures
   */
  describe(figures) {
    const what =
      figures && figures.gaps.length > 0
        ? `median ${format(gapAt(figures, 0.5))}, 99th percentile ${format(gapAt(figures, 0.99))}`
        : 'nothing measured yet';
    this.#canvas.setAttribute('aria-label', `Gaps between tokens: ${what}`);
    this.#canvas.title = what;
  }

  #draw() {
    const context = this.#context;
    if (!context) return;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const ratio = devicePixelRatio;
    const isResized = this.#canvas.width !== Math.round(width * ratio);
    if (isResized) this.#canvas.width = Math.round(width * ratio);
    if (isResized) this.#canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);

    const { color, borderColor, outlineColor } = getComputedStyle(this.#canvas);
    context.fillStyle = borderColor;
    for (const ms of LINES_MS) context.fillRect(0, height - heightOf(ms, height), width, 1);
    const bars = Math.floor(width / (BAR_WIDTH + BAR_GAP));
    const gaps = this.#figures?.gaps.slice(-bars) ?? [];
    gaps.forEach(({ ms, isCut }, index) => {
      const barHeight = heightOf(ms, height);
      context.fillStyle = isCut ? outlineColor : color;
      context.fillRect(index * (BAR_WIDTH + BAR_GAP), height - barHeight, BAR_WIDTH, barHeight);
    });
  }
}

/**
 * @param {number} ms
 * @param {number} height
 */
function heightOf(ms, height) {
  const bounded = Math.min(Math.max(ms, LEAST_MS), MOST_MS);
  return Math.max(
    1,
    Math.round((Math.log(bounded / LEAST_MS) / Math.log(MOST_MS / LEAST_MS)) * height),
  );
}

/** @param {number} [ms] */
export function format(ms) {
  if (ms === undefined) return '–';
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}
