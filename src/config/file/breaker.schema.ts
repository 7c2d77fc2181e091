import { z } from 'zod';
import { whole } from './numbers.js';

/** When a target is left alone, and for how long. */
export interface BreakerSettings {
  /** So many failures in a row open it. */
  failures: number;
  /** How long it stays open, in milliseconds. */
  openMs: number;
}

export type OwnBreaker = Partial<BreakerSettings> | 'off';

export const DEFAULT_BREAKER: BreakerSettings = { failures: 5, openMs: 10_000 };

/** The `breaker` of the file or of a provider: what differs from what holds without it, or none. */
export const breakerSchema = z.union(
  [
    z.literal('off'),
    z
      .strictObject({
        failures: whole().optional(),
        open_ms: whole().optional(),
      })
      .transform(({ failures, open_ms: openMs }): OwnBreaker => ({ failures, openMs })),
  ],
  { error: 'expected off, or failures and open_ms in whole numbers' },
);

/** `breaker`, with what `own` has in its place. */
export function withBreaker(
  breaker: BreakerSettings | 'off',
  own?: OwnBreaker,
): BreakerSettings | 'off' {
  if (own === undefined || own === 'off') return own ?? breaker;
  const inherited = breaker === 'off' ? DEFAULT_BREAKER : breaker;
  return {
    failures: own.failures ?? inherited.failures,
    openMs: own.openMs ?? inherited.openMs,
  };
}
