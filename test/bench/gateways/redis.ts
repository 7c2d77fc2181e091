import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';

export const hasRedis = spawnSync('redis-server', ['--version']).error === undefined;

/** A Redis that keeps nothing on disk. */
export function startRedis(port: number): ChildProcess {
  const settings = ['--bind', '127.0.0.1', '--dir', tmpdir(), '--save', '', '--appendonly', 'no'];
  return spawn('redis-server', ['--port', String(port), ...settings], { stdio: 'ignore' });
}
