import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { freePort } from './free-port.js';
import { startProgram, type Program } from './program.js';

/** What the product's users put in front of two instances: the files of `deploy/`, at other addresses. */
export type Balancer = Program & {
  /** Where HTTP/2 is spoken, over TLS. */
  tlsPort?: number;
};

/** @param ports of the two instances */
export async function startNginx(ports: readonly [number, number]): Promise<Balancer> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-nginx-'));
  const [port, tlsPort] = [await freePort(), await freePort()];
  await cp('deploy/nginx', directory, { recursive: true });
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
  await writeFile(join(directory, 'tls/tls.key'), key);
  await writeFile(join(directory, 'tls/tls.crt'), cert);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
    .join(' ');
  await edit(join(directory, 'nginx.conf'), [
    ...instances(ports),
    ['listen 8080', `listen 127.0.0.1:${port}`],
    ['pid /tmp/nginx.pid', `daemon off; pid ${directory}/pid`],
    ['worker_processes auto', 'worker_processes 1'],
    ['worker_connections 16384', 'worker_connections 1024'],
    ['worker_rlimit_nofile 65536', 'worker_rlimit_nofile 1024'],
    ['http {', `http { ${temporary}`],
  ]);
  await edit(join(directory, 'tls/sluice.conf'), [['listen 8443', `listen 127.0.0.1:${tlsPort}`]]);
  const args = ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', 'stderr'];
  const program = await startProgram('nginx', args, port, () =>
    rm(directory, { recursive: true, force: true }),
  );
  return { ...program, tlsPort };
}

/** @param ports of the two instances */
export async function startHaproxy(ports: readonly [number, number]): Promise<Balancer> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-haproxy-'));
  const port = await freePort();
  const file = join(directory, 'haproxy.cfg');
  await cp('deploy/haproxy.cfg', file);
  await edit(file, [
    ...instances(ports),
    ['bind :8080', `bind 127.0.0.1:${port}`],
    ['maxconn 20000', 'maxconn 1000'],
  ]);
  const args = ['-f', file, '-q', '-db'];
  return startProgram('haproxy', args, port, () => rm(directory, { recursive: true, force: true }));
}

function instances([one, two]: readonly [number, number]): [string, string][] {
  return [
    ['sluice-1:3000', `127.0.0.1:${one}`],
    ['sluice-2:3000', `127.0.0.1:${two}`],
  ];
}

/** Each of these stands in the file once: one that is gone is a test that tests something else. */
async function edit(file: string, changes: [from: string, to: string][]): Promise<void> {
  let text = await readFile(file, 'utf8');
  for (const [from, to] of changes) {
    if (text.split(from).length !== 2) throw new Error(`${file} has not one ${from}`);
    text = text.replace(from, to);
  }
  await writeFile(file, text);
}
