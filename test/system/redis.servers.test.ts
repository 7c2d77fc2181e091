import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@redis/client';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.js';
import { open } from '../support/http.js';
import { startInstance, type Instance } from '../support/instances.js';
import { freePort } from '../support/free-port.js';
import { describeRedis, startRedis, type RedisServer } from '../support/redis.js';
import {
  answerOf,
  ask,
  cancel,
  eventsOf,
  runIdOf,
  textOfEvents,
  view,
  type State,
} from '../support/runs.js';
import { startUpstream, TEXT, type Upstream } from '../support/upstream/index.js';

const hasOpenssl = spawnSync('openssl', ['version']).error === undefined;

/** A Redis that is reached in another way than by an address alone. */
interface Service {
  server: RedisServer;
  env: Record<string, string>;
}

describeRedis('Redis', () => {
  let upstream: Upstream;
  let directory: string;

  beforeAll(async () => {
    upstream = await startUpstream();
    directory = await mkdtemp(join(tmpdir(), 'sluice-tls-'));
  });
  afterAll(async () => {
    await upstream.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function cluster(): Promise<Service> {
    const server = await startRedis('--cluster-enabled', 'yes');
    const admin = createClient({ url: server.url });
    await admin.connect();
    await admin.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
    await eventually(async () => {
      expect(await admin.sendCommand(['CLUSTER', 'INFO'])).toContain('cluster_state:ok');
    }, 10_000);
    admin.destroy();
    return { server, env: { REDIS_URL: server.url } };
  }

  async function user(): Promise<Service> {
    const server = await startRedis();
    const admin = createClient({ url: server.url });
    await admin.connect();
    const rules = ['~app:*', '&app:*', '+@all', '-@dangerous'];
    await admin.sendCommand(['ACL', 'SETUSER', 'sluice', 'on', '>p@ss:word', ...rules]);
    await admin.sendCommand(['ACL', 'SETUSER', 'default', 'off']);
    admin.destroy();
    const url = `redis://sluice:p%40ss%3Aword@127.0.0.1:${server.port}`;
    return { server, env: { REDIS_URL: url, REDIS_PREFIX: 'app:' } };
  }

  /** With a certificate of a CA that only NODE_EXTRA_CA_CERTS makes known. */
  async function tls(): Promise<Service> {
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const files = ['-keyout', key, '-out', cert];
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1'];
    execFileSync('openssl', [...request, ...subject, ...files], { stdio: 'ignore' });
    const port = await freePort();
    const settings = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
    const clients = ['--tls-auth-clients', 'no'];
    const server = await startRedis('--tls-port', String(port), ...settings, ...clients);
    return {
      server,
      env: { REDIS_URL: `rediss://localhost:${port}`, NODE_EXTRA_CA_CERTS: cert },
    };
  }

  const services = [
    { how: 'as a cluster of one node', start: cluster },
    { how: 'as a user with rights to its own keys', start: user },
    { how: 'over TLS', start: tls, missing: hasOpenssl ? undefined : 'openssl' },
  ];

  for (const { how, start, missing } of services) {
    const describeService = missing === undefined ? describe : describe.skip;
    describeService(missing === undefined ? how : `${how} (there is no ${missing})`, () => {
      let service: Service;
      let a: Instance;
      let b: Instance;

      beforeAll(async () => {
        service = await start();
        const env = { OPENAI_BASE_URL: `${upstream.url}/v1`, ...service.env };
        a = await startInstance(env);
        b = await startInstance(env);
      }, 60_000);
      afterAll(async () => {
        await a.kill();
        await b.kill();
        await service.server.close();
      });

      it('should carry all that runs need', async () => {
        for (const { port } of [a, b]) {
          const { body } = await answerOf(open({ port, path: '/health/ready' }));
          expect(body).toEqual({ status: 'ok' });
        }

        const withKey = { headers: { 'idempotency-key': how } };
        const calls = [a, b].map(({ port }) => ask(port, 'text_ms-20', withKey));
        for (const call of calls) {
          expect(await call.ended).toBe('complete');
          expect(textOfEvents(eventsOf(call))).toBe(TEXT);
        }
        const id = await runIdOf(calls[0]!);
        expect(await runIdOf(calls[1]!)).toBe(id);
        const replay = view(b.port, id);
        expect(await replay.ended).toBe('complete');
        expect(replay.text()).toBe(calls[0]!.text());

        const stopped = ask(a.port, 'slow');
        const stoppedId = await runIdOf(stopped);
        const viewer = view(b.port, stoppedId);
        await viewer.until('data: {"content"');
        expect((await cancel(b.port, stoppedId)).body).toMatchObject({ status: 'cancelled' });
        expect(await viewer.ended).toBe('complete');
        expect(viewer.text()).toBe(stopped.text());

        const { body } = await answerOf<{ data: State[] }>(
          open({ port: b.port, path: '/v1/runs' }),
        );
        expect(body.data.map((run) => run.id)).toEqual([stoppedId, id]);
        for (const each of [stoppedId, id]) {
          const path = `/v1/runs/${each}`;
          const forgotten = await answerOf(open({ port: b.port, method: 'DELETE', path }));
          expect(forgotten.status).toBe(204);
        }
      });
    });
  }
});
