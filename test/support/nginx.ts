import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { startProgram, type Program } from './program.js';

/**
 * nginx in front of a server.
 * @param location further lines of its `location`
 */
export async function startNginx(targetPort: number, location = ''): Promise<Program> {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'sluice-nginx-'));
  const file = join(directory, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  await writeFile(
    file,
    `daemon off; worker_processes 1; pid ${directory}/pid; error_log ${directory}/error.log;
    events { worker_connections 512; }
    http {
      access_log off;
      ${temporary.map((kind) => `${kind}_temp_path ${directory}/${kind};`).join(' ')}
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://127.0.0.1:${targetPort};
          proxy_set_header Host $host;
          ${location}
        }
      }
    }`,
  );
  const args = ['-c', file, '-p', directory, '-e', `${directory}/error.log`];
  return startProgram('nginx', args, port, () => rm(directory, { recursive: true, force: true }));
}
