import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { Subscription } from 'rxjs';
import { eventually } from '../../../test/support/eventually.js';
import { trustToo } from '../../../test/support/trust.js';
import {
  createAuthority,
  createCertificate,
  type Certificate,
} from '../../../test/support/upstream/certificates.js';
import { toChatError } from '../../errors/chat-error.js';
import { HttpClient } from './http-client.js';
import { readBody } from './read-body.js';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** A server in a thread of its own, which tells of its port and of each connection. */
const QUICK_SERVER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const server = require('node:tls').createServer(workerData, (socket) => {
    parentPort.postMessage('connection');
    socket.on('error', () => undefined);
    socket.on('data', () => socket.write(${JSON.stringify(OK)}));
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

const WAYS = ['TLSv1.3', 'TLSv1.2'].flatMap((version) => [
  { version: version as 'TLSv1.3' | 'TLSv1.2', way: 'directly' },
  { version: version as 'TLSv1.3' | 'TLSv1.2', way: 'through a tunnel' },
]);

describe.each(WAYS)(`${HttpClient.name} over $version, $way`, ({ version, way }) => {
  let certificate: Certificate;
  let trust: ReturnType<typeof trustToo>;
  let servers: Server[];
  let sut: HttpClient;
  let ownPort: number;
  /** What the server does with a request. */
  let act: (secure: TLSSocket, beneath: Socket) => void;
  /** Of each connection, whether it went on with the session of another. */
  let resumed: boolean[];
  let secures: TLSSocket[];

  beforeAll(async () => {
    const authority = await createAuthority();
    certificate = await createCertificate(authority);
    trust = trustToo(authority.cert);
    const server = createTlsServer({ ...certificate, maxVersion: version });
    let beneath: Socket;
    server.on('connection', (socket: Socket) => (beneath = socket));
    server.on('secureConnection', (secure) => {
      const under = beneath;
      secures.push(secure);
      resumed.push(secure.isSessionReused());
      secure.on('error', () => undefined);
      secure.on('data', () => act(secure, under));
    });
    const proxy = createServer((client) => {
      client.once('data', (request) => {
        const [, port] = /^CONNECT 127\.0\.0\.1:(\d+)/.exec(String(request))!;
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        const onward = connect(Number(port), '127.0.0.1');
        client.pipe(onward).pipe(client);
        for (const socket of [client, onward]) socket.on('error', () => undefined);
        client.once('close', () => onward.destroy());
        onward.once('close', () => client.destroySoon());
      });
    });
    servers = [server, proxy];
    for (const each of servers) await once(each.listen(0, '127.0.0.1'), 'listening');
    ownPort = portOf(server);
    if (way === 'through a tunnel') process.env.HTTPS_PROXY = `http://127.0.0.1:${portOf(proxy)}`;
  });
  beforeEach(() => {
    sut = new HttpClient();
    resumed = [];
    secures = [];
  });
  afterEach(async () => {
    sut.onApplicationShutdown();
    await eventually(() => expect(secures.map((secure) => secure.destroyed)).not.toContain(false));
  });
  afterAll(async () => {
    delete process.env.HTTPS_PROXY;
    trust.mockRestore();
    for (const each of servers) await once(each.close(), 'close');
  });

  async function get(port = ownPort) {
    const demand = new Subscription();
    const response = await sut.request(new URL(`https://127.0.0.1:${port}/`), {
      method: 'GET',
      headers: {},
      demand,
      connectMs: 2_000,
    });
    return readBody(response, 100);
  }

  it('sends one request after the other on a connection', async () => {
    act = (secure) => secure.write(OK);
    expect((await get()).text).toBe('ok');
    expect((await get()).text).toBe('ok');
    expect(resumed).toEqual([false]);
  });

  it('keeps a connection whose answer came as fast as the request was sent', async () => {
    const elsewhere = new Worker(QUICK_SERVER, { eval: true, workerData: certificate });
    const [port] = (await once(elsewhere, 'message')) as [number];
    let connections = 0;
    elsewhere.on('message', () => (connections += 1));
    for (let count = 0; count < 100; count += 1) {
      await get(port);
      await sleep(1);
    }
    await elsewhere.terminate();
    expect(connections).toBe(1);
  });

  it('goes on with the session of a connection that was closed', async () => {
    act = (secure) => secure.end(OK);
    for (let count = 0; count < 3; count += 1) expect((await get()).text).toBe('ok');
    expect(resumed).toEqual([false, true, true]);
  });

  it('fails at once when what comes is not of TLS any more', async () => {
    act = (_, beneath) => beneath.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    expect(await get().catch(toChatError)).toMatchObject({ code: 'provider_unavailable' });
  });

  it('cuts the body off where what comes is not of TLS any more', async () => {
    act = (secure, beneath) => secure.write(OK.slice(0, -1), () => beneath.write('x'.repeat(100)));
    expect(await get()).toEqual({ text: 'o', isWhole: false });
  });
});

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
