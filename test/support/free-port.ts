import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below what systems give to sockets that ask for any port (on Linux from 32768, elsewhere from 49152). */
const FIRST_PORT = 10_000;
const PORTS_A_WORKER = 1_000;
const WORKERS = 20;

/**
 * A port that nothing listens on, for a program that can't be told to take any. Other test files run
 * at the same time: each has ports of its own, and none that the system may give away meanwhile.
 */
export async function freePort(): Promise<number> {
  const worker = Number(process.env.JEST_WORKER_ID ?? 0) % WORKERS;
  for (;;) {
    const port = FIRST_PORT + worker * PORTS_A_WORKER + Math.floor(Math.random() * PORTS_A_WORKER);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await once(server.close(), 'close');
  return true;
}
