/**
 * How long a response asks to wait, in milliseconds: `retry-after-ms`, else Retry-After in seconds
 * or as a date (RFC 9110 §10.2.3). Undefined where it asks for nothing that can be read.
 */
export function retryAfterMs(
  header: (name: string) => string | null | undefined,
  now = Date.now(),
): number | undefined {
  const milliseconds = Number.parseFloat(header('retry-after-ms') ?? '');
  if (milliseconds >= 0 && Number.isFinite(milliseconds)) return milliseconds;
  const value = header('retry-after') ?? '';
  const wait = /^\s*[\d.]+\s*$/.test(value)
    ? Number.parseFloat(value) * 1000
    : Date.parse(value) - now;
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}
