import { z } from 'zod';
import { keyNameSchema, keySchema, type ApiKey } from '../api-key.js';
import type { Flaw } from './flaw.js';
import { limitsSchema } from './limits.schema.js';
import { atLeastOne } from './lists.js';

const EXPECTED_KEY = 'expected a key, or sha256: and 64 hexadecimal digits, or a list of those';

/** Names of models, with `*` for any text. */
export const allowedModelsSchema = z.array(z.string().min(1, { error: 'expected a name' }));

const entrySchema = z.strictObject({
  name: keyNameSchema,
  /** Several while one takes the place of another. */
  key: z.union([keySchema.transform((key) => [key]), atLeastOne(keySchema, EXPECTED_KEY)], {
    error: EXPECTED_KEY,
  }),
  models: allowedModelsSchema.optional(),
  limits: limitsSchema.optional(),
});

type Entry = z.output<typeof entrySchema>;

/** The file's `keys`. */
export const keysSchema = z.array(entrySchema);

export function apiKeysOf({ key, ...entry }: Entry): ApiKey[] {
  return key.map((digest) => ({ ...entry, digest }));
}

/** What is wrong with the file's keys beside one another and those of the environment. */
export function flawsOfKeys(entries: readonly Entry[], others: readonly ApiKey[]): Flaw[] {
  const names = new Set(others.map(({ name }) => name));
  const digests = new Set(others.map(({ digest }) => digest.toString('hex')));
  return entries.flatMap(({ name, key }, index) => {
    const flaws: Flaw[] = [];
    if (names.has(name)) {
      flaws.push({ path: ['keys', index, 'name'], message: 'expected a name that no other has' });
    }
    names.add(name);
    for (const digest of key.map((each) => each.toString('hex'))) {
      if (digests.has(digest)) {
        flaws.push({ path: ['keys', index, 'key'], message: 'expected a key that no other has' });
      }
      digests.add(digest);
    }
    return flaws;
  });
}
