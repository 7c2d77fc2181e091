import { z } from 'zod';
import { breakerSchema } from './breaker.schema.js';
import { jwtSchema } from './jwt.schema.js';
import { keysSchema } from './keys.schema.js';
import { limitsSectionSchema } from './limits-section.schema.js';
import { modelsSchema } from './models.schema.js';
import { providersSchema } from './providers.schema.js';

/** The whole file, a schema a section. A section with nothing in it is none. */
export const fileSchema = z.strictObject({
  providers: providersSchema.nullish().transform((providers) => providers ?? {}),
  models: modelsSchema.nullish().transform((models) => models ?? []),
  keys: keysSchema.nullish().transform((keys) => keys ?? []),
  jwt: jwtSchema.nullish().transform((jwt) => jwt ?? undefined),
  limits: limitsSectionSchema.nullish().transform((limits) => limits ?? { models: [] }),
  breaker: breakerSchema.nullish().transform((breaker) => breaker ?? undefined),
});

export type FileSections = z.output<typeof fileSchema>;
