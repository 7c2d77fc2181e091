import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { BACKLOG } from '../backlog.js';

export const hasNginx = spawnSync('nginx', ['-v']).error === undefined;

/** nginx with one worker, in front of servers that stream. It keeps its files in a directory apart. */
export function startNginx(port: number, upstreamPorts: number[]): ChildProcess {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-nginx-'));
  const file = join(directory, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; worker_processes 1; worker_rlimit_nofile 20000;
    pid ${directory}/pid; error_log ${directory}/error.log;
    events { worker_connections 15000; }
    http {
      access_log off;
      ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
        .join(' ')}
      upstream servers {
        least_conn;
        ${upstreamPorts.map((upstream) => `server 127.0.0.1:${upstream};`).join(' ')}
        keepalive 512;
      }
      server {
        listen 127.0.0.1:${port} backlog=${BACKLOG};
        location / {
          proxy_pass http://servers;
          proxy_http_version 1.1; proxy_set_header Connection "";
          proxy_set_header Host $http_host;
          proxy_buffering off; proxy_next_upstream off; proxy_read_timeout 1h;
        }
      }
    }`,
  );
  return spawn('nginx', ['-c', file, '-p', directory, '-e', `${directory}/error.log`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
