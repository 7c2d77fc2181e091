import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Subscription } from 'rxjs';
import { eventually } from '../../../test/support/eventually.js';
import { collectGarbage } from '../../../test/support/garbage.js';
import { toChatError, type ChatError } from '../../errors/chat-error.js';
import type { UpstreamCall } from '../upstream-observer.js';
import { HttpClient } from './http-client.js';
import { readBody } from './read-body.js';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

interface Asked {
  demand?: Subscription;
  headers?: Record<string, string>;
  body?: string;
  credentials?: string;
}

describe(HttpClient.name, () => {
  let server: Server;
  let sut: HttpClient;
  /** What is done with the request of this number on the connection of this number. */
  let act: (socket: Socket, connection: number, request: number) => void;
  /** `<connection>/<request>` of each request that came. */
  let seen: string[];
  let paused: Socket[];

  beforeEach(async () => {
    sut = new HttpClient();
    seen = [];
    paused = [];
    let connections = 0;
    server = createServer({ noDelay: true }, (socket) => {
      const connection = (connections += 1);
      let requests = 0;
      socket.on('error', () => undefined);
      socket.on('data', () => {
        requests += 1;
        seen.push(`${connection}/${requests}`);
        act(socket, connection, requests);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    sut.onApplicationShutdown();
    for (const socket of paused) socket.destroy();
    server.close();
    await once(server, 'close');
  });

  function request({ demand = new Subscription(), headers = {}, body, credentials }: Asked = {}) {
    const { port } = server.address() as AddressInfo;
    const user = credentials === undefined ? '' : `${credentials}@`;
    const options = { method: 'POST', headers, body, demand, connectMs: 1_000 };
    return sut.request(new URL(`http://${user}127.0.0.1:${port}/`), options);
  }

  async function get(asked?: Asked) {
    return (await readBody(await request(asked), 1_000_000)).text;
  }

  /** Such a socket does not see that the other side has left either. */
  function unread(socket: Socket) {
    paused.push(socket);
    return socket.pause();
  }

  /** Keeps so many connections for the next requests. */
  async function keep(count: number) {
    act = (socket) => socket.write(OK);
    await Promise.all(Array.from({ length: count }, () => get()));
    await sleep(10);
    seen.length = 0;
  }

  it.each([
    ['reset', (socket: Socket) => socket.resetAndDestroy()],
    ['closed', (socket: Socket) => socket.destroy()],
  ])('asks once more, on a new connection, when a kept one turns out %s', async (_, end) => {
    await keep(3);
    act = (socket, connection) => (connection <= 3 ? end(socket) : socket.write(OK));
    expect(await get()).toBe('ok');
    expect(seen).toEqual([expect.stringMatching(/^[123]\/2$/), '4/1']);
  });

  it('fails when a new connection is reset, and asks no more', async () => {
    await keep(1);
    act = (socket) => socket.resetAndDestroy();
    await expect(get()).rejects.toMatchObject({
      code: 'provider_unavailable',
      message: 'The provider could not be reached (ECONNRESET).',
    });
    expect(seen).toEqual(['1/2', '2/1']);
  });

  it('asks no more when a kept connection is reset long after the request', async () => {
    await keep(1);
    act = (socket) => setTimeout(() => socket.resetAndDestroy(), 1_100);
    await expect(get()).rejects.toMatchObject({ code: 'provider_unavailable' });
    expect(seen).toEqual(['1/2']);
  });

  it('fails when a kept connection is reset in the middle of an answer', async () => {
    await keep(1);
    act = (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-le', () => socket.destroy());
    await expect(get()).rejects.toMatchObject({ code: 'provider_unavailable' });
    expect(seen).toEqual(['1/2']);
  });

  it('takes nothing that came unasked on a kept connection for an answer', async () => {
    await keep(1);
    let closed: Promise<unknown>;
    act = (socket) => {
      closed = once(socket, 'close');
      socket.write(OK);
      setTimeout(() => socket.write('HTTP/1.1 500 Unasked\r\n\r\n'), 5);
    };
    expect(await get()).toBe('ok');
    await closed!;
    act = (socket) => socket.write(OK);
    expect(await get()).toBe('ok');
    expect(seen).toEqual(['1/2', '2/1']);
  });

  it('says once that it is over when the connection ends before its body is read', async () => {
    const closed = jest.fn<UpstreamCall['closed']>();
    const call = { headers: {}, answered: jest.fn(), dropped: jest.fn(), closed };
    act = (socket) => {
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 30000\r\n\r\n${'x'.repeat(30_000)}`);
    };
    const { port } = server.address() as AddressInfo;
    const response = await sut.request(new URL(`http://127.0.0.1:${port}/`), {
      method: 'GET',
      headers: {},
      demand: new Subscription(),
      connectMs: 1_000,
      observer: { sending: () => call },
    });
    await sleep(20);
    expect((await readBody(response, 1_000_000)).text).toHaveLength(30_000);
    await sleep(20);
    expect(closed).toHaveBeenCalledTimes(1);
  });

  it('keeps apart what comes on many connections at a time', async () => {
    const bodyOf = (connection: number) => String(connection % 10).repeat(200_000);
    act = (socket, connection) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n${bodyOf(connection)}`);
    };
    const bodies = await Promise.all(Array.from({ length: 8 }, () => get()));
    expect(bodies.sort()).toEqual(Array.from({ length: 8 }, (_, index) => bodyOf(index + 1)));
  });

  it('tells an answer that is none', async () => {
    act = (socket) => socket.write('SSH-2.0-Server\r\n');
    const error = await get().catch(toChatError);
    expect(error).toMatchObject({ code: 'provider_unavailable' });
    expect((error as ChatError).cause).toMatchObject({ code: 'malformed' });
  });

  it('keeps no connection on which a request is still being sent', async () => {
    act = (socket, _, request) => {
      // Reads no more of it.
      if (request === 1) unread(socket).write(OK);
    };
    expect(await get({ body: 'x'.repeat(20_000_000) })).toBe('ok');
    act = (socket) => socket.write(OK);
    expect(await get()).toBe('ok');
    expect(seen.at(-1)).toBe('2/1');
  });

  it('fails at once when the server ends the connection while a request is being sent', async () => {
    act = (socket) => unread(socket).end();
    await expect(get({ body: 'x'.repeat(20_000_000) })).rejects.toMatchObject({
      message: 'The provider could not be reached (ECONNRESET).',
    });
  });

  it('leaves no connection behind for a request that can not be sent', async () => {
    act = (socket) => socket.write(OK);
    await expect(get({ headers: { a: 'b\r\nc: d' } })).rejects.toMatchObject({
      code: 'provider_unavailable',
    });
    expect(await get()).toBe('ok');
    expect(seen).toEqual(['1/1']);
  });

  it('uses no connection for longer than the server says that it keeps it', async () => {
    act = (socket) =>
      socket.write('HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 0\r\n\r\n');
    await get();
    await get();
    expect(seen).toEqual(['1/1', '2/1']);
  });

  it('tells the server of the user in its URL', async () => {
    let asked = '';
    server.on('connection', (socket) => socket.on('data', (bytes) => (asked += String(bytes))));
    act = (socket) => socket.write(OK);
    await get({ credentials: 'me:a%20b%' });
    const credentials = Buffer.from('me:a%20b%').toString('base64');
    expect(asked).toContain(`\r\nauthorization: Basic ${credentials}\r\n`);
  });

  it('closes no connection for a response that is over', async () => {
    act = (socket, _, request) => setTimeout(() => socket.write(OK), request === 2 ? 20 : 0);
    const first = await request();
    await readBody(first, 10);
    const second = get();
    first.destroy();
    expect(await second).toBe('ok');
    expect(seen).toEqual(['1/1', '1/2']);
  });

  it('asks nobody again once it has shut down', async () => {
    await keep(1);
    act = () => sut.onApplicationShutdown();
    await expect(get()).rejects.toMatchObject({ code: 'provider_unavailable' });
    await sleep(20);
    expect(seen).toEqual(['1/2']);
  });

  it('asks nobody new either once it has shut down', async () => {
    sut.onApplicationShutdown();
    await expect(get()).rejects.toMatchObject({ code: 'provider_unavailable' });
    expect(seen).toEqual([]);
  });

  it('asks nothing on a kept connection for somebody who has left', async () => {
    await keep(1);
    await expect(get({ demand: Subscription.EMPTY })).rejects.toMatchObject({
      message: 'Nobody waits for the provider.',
    });
    await sleep(20);
    expect(seen).toEqual([]);
  });

  it('keeps no request while its answer comes', async () => {
    const used = () => {
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const answered = new Set<Socket>();
    act = (socket) => {
      if (!answered.has(socket)) socket.write('HTTP/1.1 200 OK\r\n\r\n');
      answered.add(socket);
    };
    const before = used();
    const bodies = Array.from({ length: 20 }, (_, index) => ({
      body: `${index}`.repeat(1_000_000),
    }));
    for (const asked of bodies.splice(0)) await request(asked);
    await sleep(50);
    expect(used() - before).toBeLessThan(5_000_000);
  });

  it('asks no more for somebody who left', async () => {
    await keep(2);
    const demand = new Subscription();
    act = () => demand.unsubscribe();
    await expect(get({ demand })).rejects.toMatchObject({ code: 'provider_unavailable' });
    await sleep(20);
    expect(seen).toHaveLength(1);
  });

  describe('through a tunnel of a proxy', () => {
    let sockets: Socket[];

    beforeEach(() => {
      process.env.HTTPS_PROXY = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      sockets = [];
      server.on('connection', (socket) => sockets.push(socket));
    });
    afterEach(async () => {
      delete process.env.HTTPS_PROXY;
      await eventually(() => expect(sockets.every(({ destroyed }) => destroyed)).toBe(true));
    });

    /** @returns what it failed with, and how it was told that it is over */
    async function failure({ demand = new Subscription(), connectMs = 2_000 } = {}) {
      const closed = jest.fn<UpstreamCall['closed']>();
      const call = { headers: {}, answered: jest.fn(), dropped: jest.fn(), closed };
      const observer = { sending: () => call };
      const options = { method: 'GET', headers: {}, demand, connectMs, observer };
      const error = await sut
        .request(new URL('https://provider.invalid/'), options)
        .catch(toChatError);
      await eventually(() => expect(closed).toHaveBeenCalledTimes(1));
      return { error, closed: closed.mock.calls[0]![0] };
    }

    it.each(['407 Proxy Authentication Required', '403 Forbidden', '503 Service Unavailable'])(
      'fails when the proxy refuses it with %s, and takes that for no word of the provider',
      async (status) => {
        act = (socket) => socket.write(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`);
        const { error, closed } = await failure();
        expect([error, closed]).toMatchObject([
          { code: 'provider_unavailable', message: expect.stringContaining(status.slice(0, 3)) },
          'provider_unavailable',
        ]);
      },
    );

    it.each([
      ['the proxy', () => undefined],
      [
        'the provider',
        (socket: Socket, _: number, request: number) =>
          request === 1 && socket.write('HTTP/1.1 200 Connection established\r\n\r\n'),
      ],
    ])('fails when connecting takes too long because of %s', async (_, silence) => {
      act = silence;
      const { error, closed } = await failure({ connectMs: 100 });
      expect([error, closed]).toMatchObject([{ code: 'timeout_connect' }, 'timeout_connect']);
    });

    it('closes its connection to the proxy at once for somebody who leaves', async () => {
      const demand = new Subscription();
      act = () => demand.unsubscribe();
      await failure({ demand });
      expect(seen).toEqual(['1/1']);
    });

    it('gives up connecting at the shutdown', async () => {
      act = () => sut.onApplicationShutdown();
      const { error } = await failure();
      expect(error).toMatchObject({ code: 'provider_unavailable' });
    });

    it('tells that the proxy answers with something else than HTTP', async () => {
      act = (socket) => socket.write('SSH-2.0-Server\r\n');
      const { error } = await failure();
      expect(error).toMatchObject({ message: expect.stringMatching(/^The proxy did not connect/) });
    });

    it.each(['http://[bad', 'socks5://127.0.0.1:1'])('fails with the proxy %s', async (proxy) => {
      process.env.HTTPS_PROXY = proxy;
      const demand = new Subscription();
      const options = { method: 'GET', headers: {}, demand, connectMs: 1_000 };
      await expect(
        sut.request(new URL('https://provider.invalid/'), options),
      ).rejects.toMatchObject({ message: 'The proxy in the environment is no URL of HTTP.' });
    });

    it('asks nothing of the proxy for somebody who has left', async () => {
      await failure({ demand: Subscription.EMPTY });
      expect(seen).toEqual([]);
    });
  });
});
