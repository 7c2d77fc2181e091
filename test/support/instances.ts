import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** An instance of the application in a process of its own, which a test can kill. */
export interface Instance {
  port: number;
  process: ChildProcess;
  /** All that it has written so far. */
  output(): string;
  /** Its log so far, without the lines of other programs. */
  log(): LogLine[];
  /** Kills it, as a machine that goes away does. */
  kill(): Promise<void>;
}

/** A line of the log; `context` says whose. */
export type LogLine = Record<string, unknown> & { context?: string };

let isBuilt = false;

/**
 * Starts what is built, and is built before if need be, configured by `env` alone. On a free port unless
 * that has one, as it must where the log does not tell.
 * @param log a file descriptor, for what is not to be read here
 */
export async function startInstance(
  env: Record<string, string | number>,
  log: number | 'pipe' = 'pipe',
): Promise<Instance> {
  if (!isBuilt) execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--build']);
  isBuilt = true;
  const settings = Object.entries({ NODE_ENV: 'test', PORT: 0, ...env });
  const child = spawn(process.execPath, ['dist/main.js'], {
    env: Object.fromEntries(settings.map(([name, value]) => [name, String(value)])),
    stdio: ['ignore', log, 'pipe'],
  });
  let output = '';
  child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
  let complaints = '';
  child.stderr!.on('data', (data: Buffer) => {
    complaints += data.toString();
    process.stderr.write(data);
  });
  const signal = AbortSignal.timeout(30_000);
  for (;;) {
    const port = (await listens(Number(env.PORT))) ? Number(env.PORT) : toldPort(output);
    if (port !== undefined) {
      return {
        port,
        process: child,
        output: () => output + complaints,
        log: () => linesOf(output),
        kill: () => kill(child),
      };
    }
    if (child.exitCode !== null) throw new Error(`the instance did not start: ${output}`);
    await sleep(20, undefined, { signal });
  }
}

function toldPort(output: string): number | undefined {
  const [, port] = /Listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(output) ?? [];
  return port === undefined ? undefined : Number(port);
}

/** Whether a server is there; none is at port 0. */
function listens(port: number): Promise<boolean> {
  if (!port) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.once('connect', () => socket.destroy());
    socket.once('error', () => resolve(false));
  });
}

function linesOf(output: string): LogLine[] {
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as LogLine);
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
