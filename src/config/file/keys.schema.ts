import { z } from 'zod';
import { keyNameSchema, keySchema, type ApiKey } from '../api-key.js';
import { limitsSchema } from './limits.schema.js';

/** Names of models as a key may have them: `*` stands for any text. */
export const allowedModelsSchema = z.array(
  z.string({ error: 'expected the name of a model' }).min(1, {
    error: 'expected the name of a model',
  }),
  { error: 'expected a list of names of models' },
);

const entrySchema = z.strictObject({
  name: keyNameSchema,
  /** Several while one takes the place of another. */
  key: z.union([keySchema.transform((digest) => [digest]), z.array(keySchema).min(1)], {
    error: 'expected a key, a digest as sha256:<hex>, or a list of those',
  }),
  models: allowedModelsSchema.optional(),
  limits: limitsSchema.optional(),
});

/** The file's `keys`. */
export const keysSchema = z
  .array(entrySchema, { error: 'expected a list of keys' })
  .superRefine((entries, context) => {
    const names = new Set<string>();
    const digests = new Set<string>();
    for (const [index, { name, key }] of entries.entries()) {
      if (names.has(name)) {
        context.addIssue({ code: 'custom', path: [index, 'name'], message: 'is there twice' });
      }
      names.add(name);
      for (const digest of key.map((each) => each.toString('hex'))) {
        if (digests.has(digest)) {
          context.addIssue({ code: 'custom', path: [index, 'key'], message: 'is there twice' });
        }
        digests.add(digest);
      }
    }
  })
  .transform((entries): ApiKey[] =>
    entries.flatMap(({ key, ...entry }) => key.map((digest) => ({ ...entry, digest }))),
  );
