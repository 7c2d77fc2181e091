import { randomBytes } from 'node:crypto';
import { digestOf, keyNameSchema } from '../config/api-key.js';
import { say } from './say.js';
import { UsageError } from './usage-error.js';

export const KEY_USAGE = `sluice key <name>

Makes an API key. Its first line of output is the key, for the caller and nowhere else; the second is
what the server gets in API_KEYS, or after the name as key in CONFIG_FILE.`;

/** @throws {UsageError} */
export function makeKey([name, ...rest]: string[]): number {
  const parsed = keyNameSchema.safeParse(name);
  if (!parsed.success || rest.length > 0) {
    throw new UsageError(
      `sluice key <name>: ${parsed.error?.issues[0]?.message ?? 'expected one name'}.`,
    );
  }
  // 256 bits, with a beginning that scanners for leaked secrets can look for.
  const key = `sk-sluice-${randomBytes(32).toString('base64url')}`;
  say('The key, which is shown this once, and its entry for API_KEYS:');
  process.stdout.write(`${key}\n${parsed.data}:sha256:${digestOf(key).toString('hex')}\n`);
  return 0;
}
