import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startRedis } from './gateways/redis.js';
import type { Probe } from './probe.js';
import { cpuMs, family, rssKb } from './proc.js';
import { Remote } from './rpc.js';

const START_TIMEOUT_MS = 15_000;

/** Everything that is to end when the bench does, however it does. */
const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

/** What comes with a gateway's process. */
interface Company {
  probe?: Remote<Probe>;
  /** The gateways that it balances between, which are part of it. */
  behind?: readonly Gateway[];
}

/** A gateway's processes, or another server's. */
export class Gateway {
  readonly probe?: Remote<Probe>;
  private readonly behind: readonly Gateway[];

  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    { probe, behind = [] }: Company,
  ) {
    this.probe = probe;
    this.behind = behind;
  }

  /** Resolves when the port can be connected to. */
  static async listening(
    child: ChildProcess,
    port: number,
    company: Company = {},
  ): Promise<Gateway> {
    children.add(child);
    const signal = AbortSignal.timeout(START_TIMEOUT_MS);
    while (!(await accepts(port))) {
      if (child.exitCode !== null) throw new Error(`a gateway did not start: ${child.spawnfile}`);
      await sleep(20, undefined, { signal });
    }
    return new Gateway(child, port, company);
  }

  cpuMs(): number {
    return cpuMs(this.pids());
  }

  rssKb(): number {
    return rssKb(this.pids());
  }

  /** Resident memory without garbage, in kB. */
  async settledRssKb(): Promise<number> {
    for (const { probe } of [this, ...this.behind]) await probe?.call('collect');
    // What is free goes back to the system a little later.
    await sleep(500);
    return this.rssKb();
  }

  async stop(): Promise<void> {
    await Promise.all(this.behind.map((gateway) => gateway.stop()));
    children.delete(this.child);
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    // nginx's worker is not ours to kill; Sluice would wait for its load balancers.
    this.child.kill(this.probe ? 'SIGKILL' : 'SIGTERM');
    await exited;
  }

  private pids(): number[] {
    return [...family(this.child.pid!), ...this.behind.flatMap((gateway) => gateway.pids())];
  }
}

/** Starts a program of the bench's own that answers calls. */
export function forkHelper<H extends Record<string, (argument: never) => unknown>>(
  path: string,
): Remote<H> {
  const child = fork(fileURLToPath(new URL(path, import.meta.url)), { serialization: 'advanced' });
  children.add(child);
  return new Remote<H>(child);
}

/** Starts a gateway that is a program for Node. */
export function forkGateway(
  program: URL,
  port: number,
  env: Record<string, string>,
  nodeFlags: readonly string[] = [],
): Promise<Gateway> {
  const probe = new URL('probe.js', import.meta.url).href;
  const child = fork(fileURLToPath(program), {
    env: { PATH: process.env.PATH, ...env },
    execArgv: ['--disable-warning=ExperimentalWarning', '--import', probe, ...nodeFlags],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  return Gateway.listening(child, port, { probe: new Remote<Probe>(child) });
}

let redis: Promise<Gateway> | undefined;

/** One Redis for all that want one; its URL. */
export async function redisUrl(): Promise<string> {
  redis ??= freePort().then((port) => Gateway.listening(startRedis(port), port));
  return `redis://127.0.0.1:${(await redis).port}`;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
