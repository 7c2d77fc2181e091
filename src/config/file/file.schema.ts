import { z } from 'zod';
import { breakerSchema } from './breaker.schema.js';
import { modelsSchema } from './models.schema.js';
import { providersSchema } from './providers.schema.js';

/** The whole file, a schema a section. */
export const fileSchema = z.strictObject({
  providers: providersSchema.default({}),
  models: modelsSchema.default({}),
  breaker: breakerSchema.optional(),
});

export type FileSections = z.output<typeof fileSchema>;
