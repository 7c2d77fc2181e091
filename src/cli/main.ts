import { readFileSync } from 'node:fs';
import { chat, CHAT_USAGE } from './chat/chat.command.js';
import { doctor, DOCTOR_USAGE } from './doctor/doctor.command.js';
import { KEY_USAGE, makeKey } from './key.command.js';
import { say } from './say.js';
import { UsageError } from './usage-error.js';

const [command = '', ...args] = process.argv.slice(2);

async function main(): Promise<number> {
  if (command === 'chat') return chat(args, process.env);
  if (command === 'doctor') return doctor(args, process.env);
  if (command === 'key') return makeKey(args);
  if (command === '' || command === 'help' || command === '--help' || command === '-h') {
    process.stdout.write(`${[CHAT_USAGE, DOCTOR_USAGE, KEY_USAGE].join('\n\n')}\n`);
    return command === '' ? 2 : 0;
  }
  if (command === '--version') {
    const json = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    process.stdout.write(`${(JSON.parse(json) as { version: string }).version}\n`);
    return 0;
  }
  throw new UsageError(`There is no command ${JSON.stringify(command)}.`);
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!isUsageError(error)) throw error;
  say(`${error.message}\nSee sluice --help.`);
  process.exitCode = 2;
}

function isUsageError(error: unknown): error is Error {
  if (error instanceof UsageError) return true;
  // What node:util's parseArgs throws.
  const { code } = Object(error) as { code?: unknown };
  return error instanceof Error && typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS');
}
