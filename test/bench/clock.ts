/** From `performance.now()`, which is cheap, to the clock that all processes of a machine share. */
const OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** The monotonic clock (CLOCK_MONOTONIC), in milliseconds. Comparable between processes. */
export function now(): number {
  return OFFSET_MS + performance.now();
}
