import { z } from 'zod';
import { baseUrlSchema, serviceKeySchema } from '../service.schema.js';
import { breakerSchema, type OwnBreaker } from './breaker.schema.js';
import { atLeastOne } from './lists.js';
import { whole } from './numbers.js';
import { timeoutsSchema, type Timeouts } from './timeouts.schema.js';

/** The first is the default. */
type Models = readonly [string, ...string[]];

/** A service, by the protocol that it speaks. */
export type Service =
  | { type: 'openai'; baseUrl?: string; apiKey?: string; models: Models }
  | { type: 'azure'; baseUrl: string; apiKey?: string; apiVersion?: string; models: Models }
  | { type: 'ollama'; baseUrl?: string; models: Models }
  | { type: 'demo' };

export type ServiceOf<Type extends Service['type']> = Extract<Service, { type: Type }>;

/** How many requests a target gets at a time, and how many may wait for their turn. */
export interface BulkheadSettings {
  maxConcurrent: number;
  queueSize: number;
  /** How long one may wait, in milliseconds. */
  queueTimeoutMs: number;
}

/** A provider of the file. What it leaves open is the environment's, or the whole file's. */
export interface FileProvider {
  service: Service;
  timeouts?: Partial<Timeouts>;
  breaker?: OwnBreaker;
  bulkhead?: BulkheadSettings;
}

const text = z.string().min(1, { error: 'expected text' });
const models = atLeastOne(text, 'expected a list of at least one model');

const limits = {
  timeouts: timeoutsSchema.optional(),
  max_concurrent: whole().optional(),
  queue: z.strictObject({ size: whole(0).optional(), timeout_ms: whole().optional() }).optional(),
  breaker: breakerSchema.optional(),
};

const serviceSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('openai'),
    base_url: baseUrlSchema.optional(),
    api_key: serviceKeySchema.optional(),
    models,
    ...limits,
  }),
  z.strictObject({
    type: z.literal('azure'),
    base_url: baseUrlSchema,
    api_key: serviceKeySchema.optional(),
    api_version: text.optional(),
    models,
    ...limits,
  }),
  z.strictObject({
    type: z.literal('ollama'),
    base_url: baseUrlSchema.optional(),
    models,
    ...limits,
  }),
  z.strictObject({ type: z.literal('demo'), ...limits }),
]);

const providerSchema = serviceSchema
  .superRefine(({ queue, max_concurrent }, context) => {
    if (!queue || max_concurrent !== undefined) return;
    const message = 'expected max_concurrent beside it: without one nothing waits';
    context.addIssue({ code: 'custom', path: ['queue'], message });
  })
  .transform((provider): FileProvider => {
    const { timeouts, breaker, max_concurrent: maxConcurrent, queue } = provider;
    const bulkhead =
      maxConcurrent === undefined
        ? undefined
        : {
            maxConcurrent,
            queueSize: queue?.size ?? 100,
            queueTimeoutMs: queue?.timeout_ms ?? 10_000,
          };
    return { service: serviceOf(provider), timeouts, breaker, bulkhead };
  });

/** The file's `providers`: services under names of their own. */
export const providersSchema = z.record(
  z.string().regex(/^[a-z0-9][\w.-]*$/i, {
    error: 'expected a name of letters, digits, dots, hyphens and underscores',
  }),
  providerSchema,
);

function serviceOf(provider: z.output<typeof serviceSchema>): Service {
  switch (provider.type) {
    case 'openai': {
      const { type, base_url: baseUrl, api_key: apiKey, models } = provider;
      return { type, baseUrl, apiKey, models };
    }
    case 'azure': {
      const {
        type,
        base_url: baseUrl,
        api_key: apiKey,
        api_version: apiVersion,
        models,
      } = provider;
      return { type, baseUrl, apiKey, apiVersion, models };
    }
    case 'ollama': {
      const { type, base_url: baseUrl, models } = provider;
      return { type, baseUrl, models };
    }
    case 'demo':
      return { type: provider.type };
  }
}
