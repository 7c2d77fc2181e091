import { z } from 'zod';
import { breakerSchema } from './breaker.schema.js';
import { whole } from './numbers.js';
import { timeoutsSchema } from './timeouts.schema.js';

/** How many requests a target gets at a time, and how many may wait for their turn. */
export interface BulkheadSettings {
  maxConcurrent: number;
  queueSize: number;
  /** How long one may wait, in milliseconds. */
  queueTimeoutMs: number;
}

const text = z.string({ error: 'expected text' }).min(1, { error: 'expected text' });
const url = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' });
/** The first is the default. */
const models = z.tuple([text], text, { error: 'expected a list of at least one model' });

const limits = {
  timeouts: timeoutsSchema.optional(),
  max_concurrent: whole().optional(),
  queue: z.strictObject({ size: whole(0).optional(), timeout_ms: whole().optional() }).optional(),
  breaker: breakerSchema.optional(),
};

const providerSchema = z
  .discriminatedUnion(
    'type',
    [
      z.strictObject({
        type: z.literal('openai'),
        base_url: url.optional(),
        api_key: text.optional(),
        models,
        ...limits,
      }),
      z.strictObject({
        type: z.literal('azure'),
        base_url: url,
        api_key: text,
        api_version: text.optional(),
        models,
        ...limits,
      }),
      z.strictObject({ type: z.literal('ollama'), base_url: url.optional(), models, ...limits }),
      z.strictObject({ type: z.literal('demo'), ...limits }),
    ],
    { error: 'expected openai, azure, ollama or demo' },
  )
  .superRefine(({ queue, max_concurrent }, context) => {
    if (!queue || max_concurrent !== undefined) return;
    const message = 'expected max_concurrent too: without it nothing waits';
    context.addIssue({ code: 'custom', path: ['queue'], message });
  })
  .transform(({ timeouts, max_concurrent, queue, breaker, ...service }) => ({
    service,
    timeouts,
    breaker,
    bulkhead: max_concurrent === undefined ? undefined : bulkheadOf(max_concurrent, queue),
  }));

/** The file's `providers`: services by names of their own. */
export const providersSchema = z.record(
  z.string().regex(/^[a-z0-9][\w.-]*$/i, {
    error: 'expected a name of letters, digits, dots, hyphens and underscores',
  }),
  providerSchema,
);

function bulkheadOf(
  maxConcurrent: number,
  queue?: { size?: number; timeout_ms?: number },
): BulkheadSettings {
  return {
    maxConcurrent,
    queueSize: queue?.size ?? 100,
    queueTimeoutMs: queue?.timeout_ms ?? 10_000,
  };
}
