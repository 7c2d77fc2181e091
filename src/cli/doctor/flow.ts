import type { Arrival } from './recording.js';

/** Two arrivals so close came together, in milliseconds. */
const TOGETHER_MS = 5;

/** How evenly something arrived that was sent at an even pace. */
export interface Flow {
  /** How long the average and the longest was on its way beyond the fastest, in milliseconds. */
  medianHeldMs: number;
  longestHeldMs: number;
  /** The most that was on its way at once, in bytes. */
  heldBytes: number;
  /** Which part came together with the one before it. */
  together: number;
  /** Times between two arrivals, in milliseconds. */
  gap: { p50: number; p99: number; max: number };
}

/**
 * Clocks need not agree: what took the shortest time on its way tells how far they are apart, and
 * the rest is counted from there.
 */
export function flowOf(arrivals: readonly Arrival[]): Flow {
  const delays = arrivals.map(({ sentMs, arrivedMs }) => arrivedMs - sentMs);
  const fastest = Math.min(...delays);
  const held = delays.map((delay) => delay - fastest).sort((a, b) => a - b);
  const gaps = arrivals.slice(1).map(({ arrivedMs }, at) => arrivedMs - arrivals[at]!.arrivedMs);
  const sorted = [...gaps].sort((a, b) => a - b);
  const waitingAt = (moment: number) =>
    arrivals.filter(
      ({ sentMs, arrivedMs }) => arrivedMs >= moment && sentMs + fastest < moment - TOGETHER_MS,
    );
  const sizes = arrivals.map(({ arrivedMs }) =>
    waitingAt(arrivedMs).reduce((sum, { bytes }) => sum + bytes, 0),
  );
  return {
    medianHeldMs: quantile(held, 0.5),
    longestHeldMs: quantile(held, 1),
    heldBytes: Math.max(0, ...sizes),
    together: gaps.filter((gap) => gap < TOGETHER_MS).length / Math.max(1, gaps.length),
    gap: { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: quantile(sorted, 1) },
  };
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}
