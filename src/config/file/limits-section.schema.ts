import { z } from 'zod';
import { limitsSchema, type Limits } from './limits.schema.js';
import { modelNameSchema } from './models.schema.js';

/** What limits those whose key or token says nothing of it, and what limits everybody's models. */
export interface LimitsSettings {
  default?: Limits;
  /** Of each key alone, by the name of the models, which may have a `*`. */
  models: readonly { name: string; limits: Limits }[];
}

/** The file's `limits`. */
export const limitsSectionSchema = z
  .strictObject({
    default: limitsSchema.optional(),
    models: z.record(modelNameSchema, limitsSchema).nullish(),
  })
  .transform(({ default: byDefault, models }): LimitsSettings => ({
    default: byDefault,
    models: Object.entries(models ?? {}).map(([name, limits]) => ({ name, limits })),
  }));
