/** The first retry waits up to this long, the second up to twice as long, and so on. */
const BASE_MS = 250;
const CAP_MS = 4_000;

/**
 * How long to wait before a target is asked again, in milliseconds: with full jitter, so that those
 * whom one failure hit don't come back as one
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param failures how often the target failed so far, at least once
 * @param retryAfterMs what it asked for itself: never less than that
 */
export function backoffMs(failures: number, retryAfterMs = 0): number {
  return retryAfterMs + Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** (failures - 1));
}
