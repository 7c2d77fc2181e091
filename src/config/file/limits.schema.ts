import { z } from 'zod';
import { whole } from './numbers.js';

/** How much a caller may use; what is undefined is not limited. */
export interface Limits {
  requestsPerMinute?: number;
  tokensPerMinute?: number;
  tokensPerDay?: number;
  /** Runs that go on at the same time. */
  concurrentStreams?: number;
}

const count = whole(1, Number.MAX_SAFE_INTEGER).optional();

/** The `limits` of a key or a token. */
export const limitsSchema = z
  .strictObject({
    requests_per_minute: count,
    tokens_per_minute: count,
    tokens_per_day: count,
    concurrent_streams: count,
  })
  .transform((limits): Limits => ({
    requestsPerMinute: limits.requests_per_minute,
    tokensPerMinute: limits.tokens_per_minute,
    tokensPerDay: limits.tokens_per_day,
    concurrentStreams: limits.concurrent_streams,
  }));
