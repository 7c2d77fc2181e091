import { z } from 'zod';

/** How much a caller may use; what is undefined is not limited. */
export interface Limits {
  requestsPerMinute?: number;
  tokensPerMinute?: number;
  tokensPerDay?: number;
  /** Runs that go on at the same time. */
  concurrentStreams?: number;
}

const MAX = Number.MAX_SAFE_INTEGER;

function count(min: number) {
  const error = `expected a whole number from ${min}`;
  return z.int({ error }).min(min, { error }).max(MAX, { error }).optional();
}

/** The `limits` of a key or a token. */
export const limitsSchema = z
  .strictObject({
    requests_per_minute: count(1),
    tokens_per_minute: count(1),
    tokens_per_day: count(1),
    concurrent_streams: count(1),
  })
  .transform((limits): Limits => ({
    requestsPerMinute: limits.requests_per_minute,
    tokensPerMinute: limits.tokens_per_minute,
    tokensPerDay: limits.tokens_per_day,
    concurrentStreams: limits.concurrent_streams,
  }));
