import { z } from 'zod';
import { whole } from './numbers.js';

/** When a target is left alone, and for how long. */
export interface BreakerSettings {
  /** So many failures in a row open it. */
  failures: number;
  /** How long it stays open, in milliseconds. */
  openMs: number;
}

export const DEFAULT_BREAKER: BreakerSettings = { failures: 5, openMs: 10_000 };

/** `breaker` of the file or of a provider. */
export const breakerSchema = z.union(
  [
    z.literal('off'),
    z
      .strictObject({
        failures: whole().default(DEFAULT_BREAKER.failures),
        open_ms: whole().default(DEFAULT_BREAKER.openMs),
      })
      .transform(({ failures, open_ms }): BreakerSettings => ({ failures, openMs: open_ms })),
  ],
  { error: 'expected off, or failures and open_ms in whole numbers' },
);
