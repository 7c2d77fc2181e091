import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, request, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { startInstance, type Instance } from '../support/instances.js';
import { answerOf, ask, eventsOf, textOfEvents } from '../support/runs.js';
import { startUpstream, TEXT, type Upstream } from '../support/upstream/index.js';

const PROVIDER = 'llm.example.com';
const AZURE = 'example.openai.azure.com';
const LOGIN = 'login.microsoftonline.com';
const TENANT = '11111111-1111-1111-1111-111111111111';

/** A network without a way out but a proxy, whose servers have certificates of its own authority. */
describe('in the network of an enterprise', () => {
  let upstream: Upstream;
  let login: Server;
  let proxy: Server;
  let directory: string;
  let env: Record<string, string>;
  let asked: string[];

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sluice-network-'));
    const { private: key, cert } = await generate([{ name: 'commonName', value: PROVIDER }], {
      extensions: [
        { name: 'basicConstraints', cA: true },
        {
          name: 'subjectAltName',
          altNames: [PROVIDER, AZURE, LOGIN].map((value) => ({ type: 2 as const, value })),
        },
      ],
    });
    const authority = join(directory, 'authority.pem');
    await writeFile(authority, cert);
    await writeFile(join(directory, 'workload'), 'a-token-of-the-cluster');

    upstream = await startUpstream({ tls: { key, cert } });
    login = createTlsServer({ key, cert }, (_request, response) => {
      response.setHeader('content-type', 'application/json');
      const token = { token_type: 'Bearer', expires_in: 3600, access_token: 'entra-token' };
      response.end(JSON.stringify(token));
    }).listen(0, '127.0.0.1');
    await once(login, 'listening');

    asked = [];
    const portOf = (host: string) =>
      host === LOGIN ? (login.address() as AddressInfo).port : upstream.port;
    proxy = createHttpServer((incoming, outgoing) => {
      asked.push(`${incoming.method} ${incoming.url}`);
      const { pathname } = new URL(incoming.url!);
      const { method, headers } = incoming;
      const onward = request({ port: plain.port, path: pathname, method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(onward);
    }).listen(0, '127.0.0.1');
    proxy.on('connect', ({ url }, client) => {
      asked.push(`CONNECT ${url}`);
      const server = connect(portOf(url!.split(':')[0]!), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        client.pipe(server).pipe(client);
      });
      for (const socket of [client, server]) socket.on('error', () => undefined);
      client.once('close', () => server.destroy());
      server.once('close', () => client.destroy());
    });
    await once(proxy, 'listening');
    const plain = await startUpstream();
    others.push(() => plain.close());
    env = {
      PATH: process.env.PATH!,
      HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      HTTP_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      NODE_EXTRA_CA_CERTS: authority,
    };
  }, 60_000);

  const others: (() => Promise<unknown>)[] = [];
  afterAll(async () => {
    for (const close of others) await close();
    await upstream.close();
    for (const server of [login, proxy]) {
      server.closeAllConnections();
      server.close();
    }
    await rm(directory, { recursive: true });
  });

  async function started(more: Record<string, string>): Promise<Instance> {
    const instance = await startInstance({ ...env, MAX_ATTEMPTS: '1', ...more });
    others.unshift(() => instance.kill());
    asked.length = 0;
    return instance;
  }

  async function expectText(instance: Instance) {
    const call = ask(instance.port, 'text');
    expect(await call.ended).toBe('complete');
    expect(textOfEvents(eventsOf(call))).toBe(TEXT);
  }

  it('goes through the proxy with one tunnel for requests one after the other', async () => {
    const instance = await started({ OPENAI_BASE_URL: `https://${PROVIDER}/v1` });
    await expectText(instance);
    await expectText(instance);
    expect(asked).toEqual([`CONNECT ${PROVIDER}:443`]);
  }, 60_000);

  it('closes the tunnel when the client leaves', async () => {
    const instance = await started({ OPENAI_BASE_URL: `https://${PROVIDER}/v1` });
    upstream.reset();
    const call = ask(instance.port, 'slow');
    await call.until('event: start');
    const exchange = await upstream.next();
    call.destroy();
    await exchange.closed;
    expect(exchange.closedEarly).toBe(true);
  }, 60_000);

  it('goes through the proxy to a provider without TLS too', async () => {
    const instance = await started({ OPENAI_BASE_URL: `http://${PROVIDER}/v1` });
    await expectText(instance);
    expect(asked).toEqual([`POST http://${PROVIDER}/v1/chat/completions`]);
  }, 60_000);

  it('goes past it where NO_PROXY says so', async () => {
    const plain = await startUpstream();
    others.push(() => plain.close());
    const instance = await started({
      OPENAI_BASE_URL: `${plain.url}/v1`,
      NO_PROXY: 'localhost,127.0.0.1',
    });
    await expectText(instance);
    expect(asked).toEqual([]);
  }, 60_000);

  it('trusts no certificate of an authority that it was not told of', async () => {
    const instance = await started({
      OPENAI_BASE_URL: `https://${PROVIDER}/v1`,
      NODE_EXTRA_CA_CERTS: '',
    });
    const { status, body } = await answerOf(ask(instance.port, 'text'));
    expect(status).toBe(502);
    expect(body.error.code).toBe('provider_unavailable');
  }, 60_000);

  it.each([
    ['on the v1 route', {}],
    ['on the route of deployments', { AZURE_OPENAI_API_VERSION: '2024-10-21' }],
  ])(
    'asks Azure with a token of Entra ID where there is no key, %s',
    async (_route, version) => {
      upstream.reset();
      const instance = await started({
        AZURE_OPENAI_ENDPOINT: `https://${AZURE}`,
        AZURE_OPENAI_DEPLOYMENT: 'text',
        AZURE_TENANT_ID: TENANT,
        AZURE_CLIENT_ID: TENANT,
        AZURE_FEDERATED_TOKEN_FILE: join(directory, 'workload'),
        ...version,
      });
      await expectText(instance);
      const { headers } = await upstream.next();
      expect(headers.authorization).toBe('Bearer entra-token');
      expect(headers['api-key']).toBeUndefined();
      expect(asked).toContain(`CONNECT ${LOGIN}:443`);
      await expectText(instance);
      expect(asked.filter((line) => line === `CONNECT ${AZURE}:443`)).toHaveLength(1);
    },
    60_000,
  );

  it('says that it has no token, and nothing more, where there is none', async () => {
    const instance = await started({
      AZURE_OPENAI_ENDPOINT: `https://${AZURE}`,
      AZURE_OPENAI_DEPLOYMENT: 'text',
      AZURE_TOKEN_CREDENTIALS: 'WorkloadIdentityCredential',
    });
    const { status, body } = await answerOf(ask(instance.port, 'text'));
    expect(status).toBe(502);
    expect(body.error).toMatchObject({
      code: 'provider_auth',
      message: 'There is no access token for Azure.',
    });
  }, 60_000);
});
