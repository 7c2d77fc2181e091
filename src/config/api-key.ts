import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Limits } from './file/limits.schema.js';

/** A key that clients may call with. Two of the same name are one owner's. */
export interface ApiKey {
  name: string;
  /** SHA-256 of the key, which itself is kept nowhere. */
  digest: Buffer;
  /** Names of models that it may ask for, with `*` for any text. Undefined: all. */
  models?: readonly string[];
  limits?: Limits;
}

const EXPECTED_NAME = 'expected a name of 1 to 64 letters, digits, dots, hyphens, underscores, @';

const EXPECTED_KEY = 'expected a key without spaces, or sha256: and 64 hexadecimal digits';

export const keyNameSchema = z
  .string({ error: EXPECTED_NAME })
  .regex(/^[\w.@-]{1,64}$/, { error: EXPECTED_NAME })
  // A part of a text keeps all of it in memory, and here that has the key in it.
  .transform((name) => Buffer.from(name).toString());

/** A key or, with `sha256:`, its digest; nothing but the digest comes out. */
export const keySchema = z
  .string({ error: EXPECTED_KEY })
  .regex(/^(?!sha256:)[!-~]+$|^sha256:[0-9a-f]{64}$/i, { error: EXPECTED_KEY })
  .transform((key) => (isDigest(key) ? Buffer.from(key.slice(-64), 'hex') : digestOf(key)));

/** `API_KEYS`: names and keys, or keys alone, which are then called by their place in the list. */
export const keyListSchema = z
  .string()
  .transform((list) => list.split(',').map((entry) => entry.trim()))
  .transform((entries) => entries.filter((entry) => entry !== '').map(nameAndKey))
  .pipe(z.array(z.object({ name: keyNameSchema, digest: keySchema })))
  .refine(areDifferent, { error: 'expected every key once' })
  .transform((keys): ApiKey[] => keys);

export function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function areDifferent(keys: readonly ApiKey[]): boolean {
  return new Set(keys.map(({ digest }) => digest.toString('hex'))).size === keys.length;
}

function nameAndKey(entry: string, index: number) {
  const colon = entry.indexOf(':');
  return colon < 1 || isDigest(entry)
    ? { name: `key-${index + 1}`, digest: entry }
    : { name: entry.slice(0, colon), digest: entry.slice(colon + 1) };
}

function isDigest(key: string): boolean {
  return /^sha256:/i.test(key);
}
