import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { startProgram, type Program } from './program.js';

/**
 * HAProxy in front of servers, in turn.
 * @param options of those that streams want
 */
export async function startHaproxy(
  targetPorts: number[],
  options = ['http-no-delay', 'abortonclose'],
): Promise<Program> {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'sluice-haproxy-'));
  const file = join(directory, 'haproxy.cfg');
  await writeFile(
    file,
    `defaults
      mode http
      timeout connect 5s
      timeout client 1h
      timeout server 1h
      ${options.map((option) => `option ${option}`).join('\n      ')}
    listen sluice
      bind 127.0.0.1:${port}
      balance roundrobin
      ${targetPorts.map((target, at) => `server s${at} 127.0.0.1:${target}`).join('\n      ')}
`,
  );
  const args = ['-f', file, '-q', '-db'];
  return startProgram('haproxy', args, port, () => rm(directory, { recursive: true, force: true }));
}
