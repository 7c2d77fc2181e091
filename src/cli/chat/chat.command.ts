import { constants } from 'node:os';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { explain } from '../explain.js';
import { say } from '../say.js';
import { Server } from '../server.js';
import { UsageError } from '../usage-error.js';
import { Answer } from './answer.js';
import { Conversation } from './conversation.js';
import { JsonPrinter, TextPrinter } from './printer.js';
import { converse } from './repl.js';
import { show } from './show.js';

export const CHAT_USAGE = `sluice chat [options] [prompt]

Without a prompt it is read from the standard input; on a terminal a conversation begins.
A prompt of - stands for the standard input among other words.

  -m, --model <name>     the model, else the server's default
  -s, --system <text>    a system message
      --max-tokens <n>   the most that the answer may have
      --json             every event as a line of JSON
      --url <url>        the server, else SLUICE_URL, else http://localhost:3000
      --key <key>        its API key, else SLUICE_API_KEY

Ctrl-C stops the generation, a second one leaves.
It ends with 0 when the answer is complete, 1 when it failed, 130 when it was interrupted.`;

/** What a shell reports of a program that wrote to a closed pipe. */
const PIPE_CLOSED = 128 + constants.signals.SIGPIPE;

/** @returns the exit code */
export async function chat(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values: options, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      model: { type: 'string', short: 'm' },
      system: { type: 'string', short: 's' },
      'max-tokens': { type: 'string' },
      json: { type: 'boolean', default: false },
      url: { type: 'string', default: env.SLUICE_URL || 'http://localhost:3000' },
      key: { type: 'string', default: env.SLUICE_API_KEY || undefined },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (options.help) {
    process.stdout.write(`${CHAT_USAGE}\n`);
    return 0;
  }
  const server = new Server(options.url, options.key);
  const conversation = new Conversation(options.model, options.system, maxTokensOf(options));
  if (positionals.length === 0 && process.stdin.isTTY && process.stdout.isTTY && !options.json) {
    return converse(server, conversation);
  }
  const printer = options.json ? new JsonPrinter(process.stdout) : new TextPrinter(process.stdout);
  const answer = new Answer(server, conversation.ask(await promptOf(positionals)), say);
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    // Nothing more is to be generated; nor said, where nobody reads on.
    answer.leave();
    void answer.stop().finally(() => {
      if (code === 'EPIPE') process.exit(PIPE_CLOSED);
      say(`The answer can't be written: ${message}.`);
      process.exit(1);
    });
  });
  try {
    const { end, stoppedBy } = await show(answer, printer, conversation.maxTokens);
    if (stoppedBy !== undefined) return 128 + constants.signals[stoppedBy];
    return end?.type === 'done' ? 0 : 1;
  } catch (error) {
    say(explain(error, server));
    return 1;
  }
}

async function promptOf(words: string[]): Promise<string> {
  const piped =
    words.length === 0 || words.includes('-') ? (await text(process.stdin)).trimEnd() : '';
  const prompt =
    words.length === 0 ? piped : words.map((word) => (word === '-' ? piped : word)).join(' ');
  if (prompt.trim() === '') throw new UsageError('The prompt is empty.');
  return prompt;
}

function maxTokensOf(options: { 'max-tokens'?: string }): number | undefined {
  const value = options['max-tokens'];
  if (value === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value);
  throw new UsageError('--max-tokens: expected a whole number.');
}
