const DAY_MS = 86_400_000;

/**
 * How long a response asks to wait, in milliseconds: `retry-after-ms`, else Retry-After in seconds
 * or as a date (RFC 9110 §10.2.3). Undefined where it asks for nothing that can be read; a day where
 * it asks for more.
 */
export function retryAfterMs(
  header: (name: string) => string | null | undefined,
  now = Date.now(),
): number | undefined {
  const wait =
    numberOf(header('retry-after-ms')) ?? secondsOrDate(header('retry-after') ?? '', now);
  return wait === undefined ? undefined : Math.min(Math.max(0, wait), DAY_MS);
}

function secondsOrDate(value: string, now: number): number | undefined {
  const seconds = numberOf(value);
  if (seconds !== undefined) return seconds * 1000;
  // `Date.parse` sees a date in nearly everything with a number; every form of one has a time.
  const at = value.includes(':') ? Date.parse(value) : NaN;
  return Number.isNaN(at) ? undefined : at - now;
}

function numberOf(value: string | null | undefined): number | undefined {
  return value && /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) : undefined;
}
