import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';
import { describeWith, pathOf } from './programs.js';

const PROGRAM = 'redis-server';

/** Describes what needs a redis-server. */
export function describeRedis(title: string, tests: () => void): void {
  describeWith(PROGRAM, title, tests);
}

/**
 * Starts a redis-server of the test's own on a free port. It keeps nothing on disk.
 * @param args further settings, such as `--maxmemory 1mb`
 */
export async function startRedis(...args: string[]): Promise<RedisServer> {
  if (pathOf(PROGRAM) === undefined) throw new Error(`there is no ${PROGRAM} on the PATH`);
  const directory = await mkdtemp(join(tmpdir(), 'sluice-redis-'));
  const server = new RedisServer(await freePort(), directory, args);
  try {
    await server.start();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

export class RedisServer {
  #process: ChildProcess | undefined;

  constructor(
    readonly port: number,
    private readonly directory: string,
    private readonly args: string[],
  ) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it again on the same port, empty. */
  async start(): Promise<void> {
    const settings = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.directory];
    const args = [...settings, '--save', '', '--appendonly', 'no', ...this.args];
    this.#process = spawn(PROGRAM, args, { stdio: 'ignore' });
    await this.#answers();
  }

  /** Kills it: what it held is lost and its connections break. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (!child) return;
    this.#process = undefined;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** It hangs: connections stay, and are even accepted, but nothing is answered. */
  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Stops it for good. */
  async close(): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    const signal = AbortSignal.timeout(10_000);
    while (!(await ping(this.port))) {
      if (this.#process?.exitCode != null) throw new Error(`${PROGRAM} did not start`);
      await sleep(20, undefined, { signal });
    }
  }
}

function ping(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', (data) => {
      resolve(data.toString().startsWith('+PONG'));
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
