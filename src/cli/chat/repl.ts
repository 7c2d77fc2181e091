import { createInterface } from 'node:readline';
import { explain } from '../explain.js';
import { say, sayDimly } from '../say.js';
import type { Server } from '../server.js';
import { Answer } from './answer.js';
import type { Conversation } from './conversation.js';
import { TextPrinter } from './printer.js';
import { show } from './show.js';

const HELP = `/model [name]   change the model; without a name: which there are
/system [text]  change the system message; without a text: none
/clear          forget what was said
/exit           leave (or Ctrl-D)
Ctrl-C stops an answer. A line that ends with \\ goes on in the next.`;

/** A conversation at the terminal. @returns the exit code */
export async function converse(server: Server, conversation: Conversation): Promise<number> {
  const printer = new TextPrinter(process.stdout);
  let history: string[] = [];
  sayDimly(`${server.url.origin}, ${conversation.model ?? 'its default model'}. /help`);
  for (;;) {
    const line = await ask(history);
    if (line.text === undefined) return 0;
    ({ history } = line);
    const text = line.text.trim();
    if (text === '') continue;
    if (text === '/exit' || text === '/quit') return 0;
    if (text.startsWith('/')) {
      await command(text, server, conversation).catch((error: unknown) =>
        say(explain(error, server)),
      );
      continue;
    }
    try {
      const answer = new Answer(server, conversation.ask(text), say);
      const shown = await show(answer, printer, conversation.maxTokens);
      // What failed is asked again, not answered; what was stopped stands as far as it came.
      if (shown.end?.type !== 'error' && shown.text !== '') conversation.add(text, shown.text);
    } catch (error) {
      say(explain(error, server));
    }
  }
}

/**
 * Reads a question: a line, those that a backslash joins to it, or all lines that were pasted at
 * once. No text means that the user leaves.
 */
function ask(history: string[]): Promise<{ text?: string; history: string[] }> {
  return new Promise((resolve) => {
    // One for each question: while an answer comes the terminal is its own, and Ctrl-C a signal.
    const readline = createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt: '> ',
      history: [...history],
      removeHistoryDuplicates: true,
    });
    let lines: string[] = [];
    let pending: NodeJS.Immediate | undefined;
    let interrupts = 0;
    let kept = history;
    const end = (text?: string) => {
      clearImmediate(pending);
      resolve({ text, history: kept });
      readline.close();
    };
    readline.on('history', (entries: string[]) => (kept = [...entries]));
    readline.on('line', (line) => {
      interrupts = 0;
      lines.push(line);
      clearImmediate(pending);
      pending = setImmediate(() => {
        if (!lines.at(-1)!.endsWith('\\')) {
          end(lines.map(withoutBackslash).join('\n'));
        } else {
          readline.setPrompt('… ');
          readline.prompt();
        }
      });
    });
    readline.on('SIGINT', () => {
      interrupts += 1;
      if (interrupts === 2) {
        end();
        return;
      }
      lines = [];
      readline.write(null, { ctrl: true, name: 'e' });
      readline.write(null, { ctrl: true, name: 'u' });
      process.stdout.write('\n(Ctrl-C again leaves)\n');
      readline.setPrompt('> ');
      readline.prompt();
    });
    readline.on('close', () => end());
    readline.prompt();
  });
}

function withoutBackslash(line: string): string {
  return line.replace(/\\$/, '');
}

async function command(text: string, server: Server, conversation: Conversation) {
  const [, name, argument = ''] = /^\/(\S*)\s*(.*)$/s.exec(text) ?? [];
  if (name === 'model' && argument === '') {
    const response = await server.call('v1/models');
    const { data } = (await response.json()) as { data: { id: string }[] };
    say(data.map(({ id }) => id).join('\n'));
  } else if (name === 'model') conversation.model = argument;
  else if (name === 'system') conversation.system = argument || undefined;
  else if (name === 'clear') conversation.clear();
  else say(HELP);
}
