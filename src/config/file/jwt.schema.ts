import { z } from 'zod';
import { allowedModelsSchema } from './keys.schema.js';
import { limitsSchema } from './limits.schema.js';
import { whole } from './numbers.js';

const text = z.string({ error: 'expected text' }).min(1, { error: 'expected text' });

/** The file's `jwt`: whose tokens are taken, and what in them says who it is and what it may. */
export const jwtSchema = z
  .strictObject({
    issuer: text,
    audience: z.union([text, z.array(text).min(1)], { error: 'expected text, or a list of texts' }),
    jwks_url: z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }),
    clock_tolerance_seconds: whole(0, 300).default(30),
    /** Names of claims. */
    claims: z
      .strictObject({
        owner: text.default('sub'),
        models: text.optional(),
        limits: text.optional(),
      })
      .prefault({}),
    /** For tokens that say nothing of it. */
    models: allowedModelsSchema.optional(),
    limits: limitsSchema.optional(),
  })
  .transform(({ jwks_url, clock_tolerance_seconds, ...jwt }) => ({
    ...jwt,
    jwksUrl: jwks_url,
    clockToleranceSeconds: clock_tolerance_seconds,
  }));

export type JwtSettings = z.output<typeof jwtSchema>;
