import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from './eventually.js';

/** Builds what the command line runs; it takes its time. */
export function buildCli(): void {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--build']);
}

export interface CliOptions {
  env?: Record<string, string>;
  /** What it reads; left open when undefined. */
  input?: string;
}

/** The real command line, in a process of its own. It knows nothing of this machine's environment. */
export function startCli(args: string[], { env, input = '' }: CliOptions = {}): Cli {
  const child = spawn(process.execPath, ['bin/sluice.js', ...args], {
    env: { PATH: process.env.PATH, ...env },
  });
  child.stdin.end(input);
  return new Cli(child);
}

/** The same at a terminal of its own, by the program `script`. */
export function startCliAtTerminal(args: string[], env: Record<string, string> = {}): Cli {
  const command = [process.execPath, 'bin/sluice.js', ...args].map((arg) => `'${arg}'`).join(' ');
  // Without a shell in between, which would take Ctrl-C for its own too.
  const child = spawn('script', ['-qefc', `exec ${command}`, '/dev/null'], {
    env: { PATH: process.env.PATH, TERM: 'xterm', SHELL: '/bin/sh', ...env },
  });
  return new Cli(child);
}

export class Cli {
  out = '';
  err = '';
  private seen = 0;
  readonly exited: Promise<number | null>;

  constructor(readonly child: ChildProcess) {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.out += text));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.err += text));
    child.stdin!.on('error', () => undefined);
    this.exited = once(child, 'close').then(([code]) => code as number | null);
  }

  type(text: string) {
    this.child.stdin!.write(text);
  }

  /** Resolves once the standard output has this, behind what was waited for before. */
  async until(text: string, withinMs = 10_000): Promise<void> {
    await eventually(() => {
      const at = this.out.indexOf(text, this.seen);
      if (at === -1) throw new Error(`no ${text} after ${this.seen} of: ${this.out}\n${this.err}`);
      this.seen = at + text.length;
    }, withinMs);
  }
}
