import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { startApp, type RunningApp } from '../support/app.js';
import { sendHead } from '../support/connection.js';
import { startInstance } from '../support/instances.js';
import { eventually } from '../support/eventually.js';
import { open } from '../support/http.js';
import { Scrape } from '../support/metrics.js';
import { answerOf, ask } from '../support/runs.js';

const PAGE = 'https://app.example.com';
const KEY = { authorization: 'Bearer secret' };

describe('a server on a hostile network', () => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await startApp({ API_KEYS: 'web:secret', CORS_ORIGINS: `${PAGE},http://localhost:5173` });
  });
  afterAll(() => app.close());

  const get = (path: string, headers: Record<string, string> = {}) =>
    answerOf(open({ port: app.port, path, headers }));

  it.each(['/v1/models', '/v1/nothing', '/health', '/docs'])(
    'lets browsers make nothing else of %s than it is',
    async (path) => {
      const { headers } = await get(path, KEY);
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
      expect(headers['referrer-policy']).toBe('no-referrer');
      expect(headers['cross-origin-resource-policy']).toBe('same-origin');
      expect(headers['cross-origin-opener-policy']).toBe('same-origin');
      expect(headers['x-frame-options']).toBe('SAMEORIGIN');
      // For browsers that are gone.
      expect(headers).not.toHaveProperty('x-xss-protection');
      expect(headers).not.toHaveProperty('x-download-options');
      expect(headers).not.toHaveProperty('x-powered-by');
    },
  );

  it.each(['/v1/models', '/v1/runs', '/v1/usage', '/metrics', '/v1/nothing'])(
    'lets nobody keep what %s answers',
    async (path) => {
      expect((await get(path, KEY)).headers['cache-control']).toBe('no-store');
    },
  );

  describe('for pages of other origins', () => {
    const preflight = (origin: string) =>
      answerOf(
        open({
          port: app.port,
          method: 'OPTIONS',
          path: '/v1/chat/stream',
          headers: {
            origin,
            'access-control-request-method': 'POST',
            'access-control-request-headers': 'authorization,content-type,sluice-on-disconnect',
          },
        }),
      );

    it('answers a preflight of a configured one without a key, to be remembered', async () => {
      const { status, headers } = await preflight(PAGE);
      expect(status).toBe(204);
      expect(headers['access-control-allow-origin']).toBe(PAGE);
      expect(headers['access-control-allow-headers']).toContain('sluice-on-disconnect');
      expect(Number(headers['access-control-max-age'])).toBeGreaterThan(3600);
      expect(headers.vary).toContain('Origin');
    });

    it('counts preflights among the requests', async () => {
      const counted = async () => {
        const scrape = await Scrape.of(app.port, KEY);
        const name = 'http_server_request_duration_seconds_count';
        return scrape.sum(name, { http_request_method: 'OPTIONS' });
      };
      const before = await counted();
      const { headers } = await preflight(PAGE);
      expect(headers['x-request-id']).toBeDefined();
      await eventually(async () => expect(await counted()).toBe(before + 1));
    });

    it('allows nothing to another', async () => {
      const { headers } = await preflight('https://evil.example.com');
      expect(headers['access-control-allow-origin']).toBeUndefined();
    });

    it.each(['Sluice-Run-Id', 'X-Request-Id', 'Retry-After', 'retry-after-ms', 'x-should-retry'])(
      'lets them read %s',
      async (name) => {
        const { headers } = await get('/v1/models', { ...KEY, origin: PAGE });
        expect(headers['access-control-expose-headers']).toContain(name);
      },
    );

    it('says so on streams and failures too', async () => {
      const stream = ask(app.port, 'demo/echo', { headers: { ...KEY, origin: PAGE } });
      expect((await stream.headers)['access-control-allow-origin']).toBe(PAGE);
      const { status, headers } = await get('/v1/models', { origin: PAGE });
      expect(status).toBe(401);
      expect(headers['access-control-allow-origin']).toBe(PAGE);
      await stream.ended;
    });
  });

  describe('for clients that send drop by drop', () => {
    it.each([
      ['headers', 'POST /v1/chat/stream HTTP/1.1\r\nHost: a\r\n'],
      [
        'a body',
        'POST /v1/chat/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\n' +
          'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{',
      ],
    ])('ends a connection that never has all of %s', async (_what, start) => {
      const server = app.app.getHttpServer();
      const { headersTimeout, requestTimeout } = server;
      expect(headersTimeout).toBeLessThan(requestTimeout);
      expect(requestTimeout).toBeLessThanOrEqual(120_000);
      Object.assign(server, { headersTimeout: 300, requestTimeout: 300 });
      const socket = connect(app.port, '127.0.0.1');
      socket.write(start);
      const dripping = setInterval(() => socket.write('x'), 200);
      const answer = await text(socket).catch(() => '');
      clearInterval(dripping);
      Object.assign(server, { headersTimeout, requestTimeout });
      expect(answer === '' || answer.startsWith('HTTP/1.1 408')).toBe(true);
    });
  });

  it('bounds headers', async () => {
    const { status } = await get('/v1/models', { ...KEY, 'x-long': 'a'.repeat(20_000) });
    expect(status).toBe(431);
  });

  describe('sees all of a request or refuses it', () => {
    const head = (...lines: string[]) =>
      sendHead(app.port, 'GET /v1/models HTTP/1.1', 'Authorization: Bearer secret', ...lines);
    const lines = (count: number) => Array.from({ length: count }, (_, at) => `X-${at}: 1`);

    it('with as many headers as there may be', async () => {
      const call = await head('Host: a', ...lines(97), 'X-Request-Id: last');
      await call.until('"data"');
      expect(call.received()).toMatch(/^HTTP\/1\.1 200 /);
      expect(call.received()).toContain('X-Request-Id: last');
      call.socket.destroy();
    });

    it.each([1, 50, 1000])('with %d more', async (more) => {
      const call = await head('Host: a', ...lines(98 + more));
      await call.until('The request has over 100 headers.');
      expect(call.received()).toMatch(/^HTTP\/1\.1 431 /);
      call.socket.destroy();
    });

    it('with two hosts', async () => {
      const call = await head('Host: a', 'host: a');
      await call.until('more than one Host');
      expect(call.received()).toMatch(/^HTTP\/1\.1 400 /);
      call.socket.destroy();
    });

    it('with a body in a coding that is not known', async () => {
      const call = await head('Host: a', 'Transfer-Encoding: gzip, chunked');
      await call.until('transfer coding');
      expect(call.received()).toMatch(/^HTTP\/1\.1 501 /);
      await call.ended();
    });
  });

  it.each([
    ['an id', { 'last-event-id': 'run_x:1\u0085event: done' }],
    ['a request id', { 'x-request-id': 'a b<script>' }],
    ['a policy', { 'sluice-on-disconnect': 'cancel; drop' }],
  ])('echoes %s that is not well-formed into no header', async (_what, headers) => {
    const call = open({
      port: app.port,
      path: '/v1/chat/stream?q=hi&model=demo/echo',
      headers: { ...KEY, ...headers },
    });
    await call.ended;
    const answered = JSON.stringify(await call.headers);
    for (const value of Object.values(headers)) expect(answered).not.toContain(value);
  });

  it('keeps line breaks of a model out of the events', async () => {
    const content = 'a\n\nevent: done\ndata: {}\r\n\r\nid: x:9\n\n';
    const call = ask(app.port, 'demo/echo', {
      headers: KEY,
      body: { messages: [{ role: 'user', content }] },
    });
    await call.ended;
    expect(call.text().match(/^event: done$/gm)).toHaveLength(1);
    expect(call.text()).not.toMatch(/^id: x:9/m);
  });

  it('believes in X-Forwarded-For only from the proxies it was told of', async () => {
    const asked = async (env: Record<string, string>) => {
      const instance = await startInstance(env);
      const headers = { 'x-forwarded-for': '203.0.113.7' };
      await answerOf(open({ port: instance.port, path: '/v1/models', headers }));
      const line = () => instance.log().find(({ route }) => route === '/v1/models');
      await eventually(() => expect(line()).toBeDefined(), 3000);
      await instance.kill();
      return line()!.client;
    };
    expect(await asked({})).toBe('127.0.0.1');
    expect(await asked({ TRUST_PROXY: 'loopback' })).toBe('203.0.113.7');
  }, 60_000);
});

describe('a connection with many requests in line', () => {
  it('is no leak to warn of', async () => {
    const instance = await startInstance({});
    const socket = connect(instance.port, '127.0.0.1');
    const lines = 'GET /health/live HTTP/1.1\r\nhost: a\r\n';
    socket.write(`${`${lines}\r\n`.repeat(19)}${lines}connection: close\r\n\r\n`);
    expect((await text(socket)).match(/HTTP\/1\.1 200/g)).toHaveLength(20);
    const exited = once(instance.process, 'close');
    await instance.kill();
    await exited;
    expect(instance.output()).not.toContain('Warning');
  });
});

describe('a fault beside every stream', () => {
  it('ends no other stream', async () => {
    const instance = await startInstance({
      NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(
        'process.on("SIGUSR2", () => void Promise.reject(new Error("stray")))',
      )}`,
    });
    const call = ask(instance.port, 'demo/echo', {
      body: { messages: [{ role: 'user', content: 'word '.repeat(200) }] },
    });
    await call.until('"content"');
    instance.process.kill('SIGUSR2');
    expect(await call.ended).toBe('complete');
    expect(call.text()).toContain('event: done');
    await eventually(() => expect(instance.output()).toContain('stray'), 3000);
    const exited = once(instance.process, 'exit');
    await instance.kill();
    await exited;
  });
});
