import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { digestOf, keyNameSchema } from '../config/api-key.js';
import { say } from './say.js';
import { UsageError } from './usage-error.js';

export const KEY_USAGE = `sluice key <name>

Makes an API key. Its first line of output is the key, for the caller and nowhere else; the second is
what the server gets in API_KEYS, or after the name as key in CONFIG_FILE.`;

/**
 * @returns the exit code
 * @throws {UsageError}
 */
export function makeKey(args: string[]): number {
  const { values: options, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h', default: false } },
  });
  if (options.help) {
    process.stdout.write(`${KEY_USAGE}\n`);
    return 0;
  }
  const [name, ...rest] = positionals;
  const parsed = keyNameSchema.safeParse(name);
  if (!parsed.success || parsed.data.startsWith('-') || rest.length > 0) {
    const expected =
      parsed.error?.issues[0]?.message ?? 'expected one name, without a hyphen before it';
    throw new UsageError(`sluice key <name>: ${expected}.`);
  }
  // 256 bits, with a beginning that scanners for leaked secrets can look for.
  const key = `sk-sluice-${randomBytes(32).toString('base64url')}`;
  say('The key, which is shown this once, and its entry for API_KEYS:');
  process.stdout.write(`${key}\n${parsed.data}:sha256:${digestOf(key).toString('hex')}\n`);
  return 0;
}
