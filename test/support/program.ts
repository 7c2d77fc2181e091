import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { eventually } from './eventually.js';
import { pathOf } from './programs.js';

/** A server that is a program of its own. */
export interface Program {
  port: number;
  url: string;
  close(): Promise<void>;
}

/** Starts a program that listens on that port. */
export async function startProgram(
  name: string,
  args: string[],
  port: number,
  clear: () => Promise<void>,
): Promise<Program> {
  if (pathOf(name) === undefined) throw new Error(`there is no ${name} on the PATH`);
  const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = once(child, 'exit');
  const close = async () => {
    // Not SIGKILL, of which its own processes would not hear.
    child.kill('SIGTERM');
    await exited;
    await clear();
  };
  try {
    await Promise.race([eventually(() => reach(port), 5_000), exited.then(failToStart)]);
  } catch (error) {
    await close();
    throw error;
  }
  return { port, url: `http://127.0.0.1:${port}`, close };
}

function failToStart(): never {
  throw new Error('the program ended instead of listening');
}

async function reach(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}
