/** `cancel`, `continue`, or `grace=<seconds>`. */
export const POLICY = /^(cancel|continue|grace=(\d{1,9}(?:\.\d{1,3})?))$/;

export const EXPECTED_POLICY = 'expected cancel, grace=<seconds> or continue';

/**
 * What becomes of a run when its last viewer leaves, as the time after which it is cancelled, in
 * milliseconds: 0 for `cancel`, Infinity for `continue`. Undefined for what is no policy.
 */
export function graceMs(policy: string, maxGraceSeconds: number): number | undefined {
  const [, kind, seconds] = POLICY.exec(policy) ?? [];
  if (kind === 'cancel') return 0;
  if (kind === 'continue') return Infinity;
  return seconds === undefined ? undefined : Math.min(Number(seconds), maxGraceSeconds) * 1000;
}
