import { ConsoleLogger } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ConfigError } from '../../src/config/config.js';
import { startApp, type RunningApp } from '../support/app.js';
import { open } from '../support/http.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

const body = { model: 'text', messages: [{ role: 'user', content: 'hi' }] };

/** Every route that could spend a token or show an answer. */
const GUARDED: [method: string, path: string][] = [
  ['POST', '/v1/chat/stream'],
  ['GET', '/v1/chat/stream?q=hi&model=text'],
  ['POST', '/v1/chat/completions'],
  ['GET', '/v1/models'],
  ['GET', '/v1/models/openai'],
  ['GET', '/v1/runs'],
  ['GET', '/v1/runs/run_0'],
  ['GET', '/v1/runs/run_0/events'],
  ['POST', '/v1/runs/run_0/cancel'],
  ['DELETE', '/v1/runs/run_0'],
];

const PUBLIC = ['/health', '/health/live', '/health/ready', '/docs', '/docs-json'];

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.reset());
afterAll(() => upstream.close());

async function send(method: string, path: string, headers: Record<string, string> = {}) {
  const call = open({
    port: server.port,
    method,
    path,
    headers,
    ...(path.startsWith('/v1/chat') && method === 'POST' && { body }),
  });
  await call.ended;
  return { status: await call.status, headers: await call.headers, text: call.text() };
}

describe('with API_KEYS', () => {
  beforeAll(async () => {
    server = await startApp({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      API_KEYS: 'alice:sk-alice, sk-nameless',
    });
  });
  afterAll(() => server.close());

  describe.each(GUARDED)('%s %s', (method, path) => {
    it.each([
      ['no key', {}],
      ['a wrong key', { authorization: 'Bearer sk-mallory' }],
      ['the name of a key', { authorization: 'Bearer alice' }],
      ['an empty key', { authorization: 'Bearer ' }],
      ['another scheme', { authorization: 'Basic sk-alice' }],
      ['a wrong key in x-api-key', { 'x-api-key': 'sk-mallory' }],
      ['the key in a header that nobody uses', { 'x-key': 'sk-alice' }],
    ])('refuses %s, and asks nothing of the provider', async (_, headers) => {
      const answer = await send(method, path, headers);

      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Bearer');
      expect(answer.headers['x-should-retry']).toBe('false');
      expect(answer.headers['sluice-run-id']).toBeUndefined();
      expect(JSON.parse(answer.text)).toEqual({
        error: {
          message: 'The API key is missing or wrong.',
          type: 'authentication_error',
          param: null,
          code: 'invalid_api_key',
        },
      });
      expect(upstream.requests).toEqual([]);
    });
  });

  it.each(['Bearer sk-alice', 'bearer sk-alice', 'Bearer sk-nameless'])(
    'lets in %s, whatever the host and the origin',
    async (authorization) => {
      const headers = { authorization, host: 'sluice.example', origin: 'https://app.example' };
      expect((await send('POST', '/v1/chat/stream', headers)).status).toBe(200);
      expect((await send('GET', '/v1/models', headers)).status).toBe(200);
    },
  );

  it.each(['api-key', 'x-api-key'])('lets in a key in %s, whatever else is sent', async (name) => {
    for (const other of ['sk-alice', 'sk-mallory']) {
      const headers = { [name]: 'sk-alice', authorization: `Bearer ${other}` };
      expect((await send('GET', '/v1/models', headers)).status).toBe(200);
    }
  });

  it.each<Record<string, string>>([
    { authorization: 'Bearer sk-alice' },
    { 'api-key': 'sk-alice' },
  ])('sends no key on to the provider (%o)', async (key) => {
    await send('POST', '/v1/chat/stream', key);
    const { headers } = await upstream.next();
    expect(JSON.stringify(headers)).not.toContain('sk-alice');
  });

  it('asks for a key on every route that there is, but for the open ones', async () => {
    const { router } = server.app.getHttpAdapter().getInstance();
    const routes = router.stack.flatMap(({ route }) =>
      [...new Set(route?.stack.map(({ method }) => method))].map(
        (method) => [method.toUpperCase(), route!.path] as const,
      ),
    );
    const answered = new Set<string>();
    for (const [method, path] of routes) {
      const { status } = await send(method, path.replaceAll(/[:*]\w+/g, 'x'));
      if (status !== 401) answered.add(`${method} ${path}`);
    }
    expect(routes.length).toBeGreaterThan(40);
    expect([...answered].filter((route) => !route.startsWith('GET /docs')).sort()).toEqual([
      'GET /',
      'GET /health',
      'GET /health/live',
      'GET /health/ready',
      'GET /playground/:version/*path',
    ]);
  });

  it.each(PUBLIC)('answers %s without a key', async (path) => {
    expect((await send('GET', path)).status).toBe(200);
  });
});

describe('without API_KEYS', () => {
  beforeAll(async () => {
    server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1` });
  });
  afterAll(() => server.close());

  const FOREIGN: Record<string, string>[] = [
    { host: 'sluice.example' },
    { host: 'localhost.evil.example' },
    { host: '127.0.0.1.evil.example' },
    { host: '192.168.1.5:3000' },
    { host: '0.0.0.0:3000' },
    { origin: 'https://evil.example' },
    { origin: 'http://localhost.evil.example' },
    { origin: 'http://localhost@evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { origin: 'http://localhost:5173', 'sec-fetch-site': 'cross-site' },
  ];

  it.each(FOREIGN)(
    'refuses %j on every route, and asks nothing of the provider',
    async (headers) => {
      for (const [method, path] of GUARDED) {
        const answer = await send(method, path, headers);
        expect(answer.status).toBe(403);
        expect(answer.headers['x-should-retry']).toBe('false');
        const { error } = JSON.parse(answer.text) as { error: { message: string } };
        expect(error).toEqual({
          message: expect.stringMatching(/^Without API_KEYS this server does not answer /),
          type: 'permission_error',
          param: null,
          code: 'permission_denied',
        });
      }
      expect(upstream.requests).toEqual([]);
    },
  );

  it.each(FOREIGN)('refuses %j also with a ticket', async (headers) => {
    const { text } = await send('POST', '/v1/tickets');
    const { ticket } = JSON.parse(text) as { ticket: string };
    const path = `/v1/chat/stream?q=hi&model=text&ticket=${ticket}`;
    expect((await send('GET', path, headers)).status).toBe(403);
    expect(upstream.requests).toEqual([]);
    expect((await send('GET', path)).status).toBe(200);
  });

  it.each<Record<string, string>>([
    { host: 'localhost' },
    { host: 'LOCALHOST:3000' },
    { host: '127.0.0.1:8080' },
    { host: '127.1.2.3' },
    { host: '[::1]:3000' },
    { host: 'app.localhost:3000' },
    { origin: 'http://localhost:5173' },
    { origin: 'https://127.0.0.1' },
    { origin: 'http://[::1]:8080' },
    { 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'same-site', origin: 'http://localhost:5173' },
    { 'sec-fetch-site': 'none' },
  ])('serves %j', async (headers) => {
    const { status, text } = await send('POST', '/v1/chat/stream', headers);
    expect(status).toBe(200);
    expect(text).toContain('event: done');
  });

  it.each(PUBLIC)('answers %s whoever asks', async (path) => {
    expect((await send('GET', path, { host: 'sluice.example' })).status).toBe(200);
  });
});

describe('with AUTH=off', () => {
  beforeAll(async () => {
    server = await startApp({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      AUTH: 'off',
      HOST: '0.0.0.0',
    });
  });
  afterAll(() => server.close());

  it('serves everybody', async () => {
    const headers = { host: 'sluice.example', origin: 'https://app.example' };
    expect((await send('POST', '/v1/chat/stream', headers)).status).toBe(200);
  });
});

describe('the start', () => {
  // Nest says itself, with a stack, what main() says in a line.
  const logged = jest.spyOn(ConsoleLogger.prototype, 'error').mockImplementation(() => {});
  afterAll(() => logged.mockRestore());

  async function refusal(env: Record<string, string>): Promise<string> {
    const starting = startApp(env);
    const error: unknown = await starting.then(
      (app) => app.close(),
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }

  it.each(['0.0.0.0', '::', '192.168.1.5', 'sluice.example'])(
    'is refused on HOST=%s without keys',
    async (HOST) => {
      expect(await refusal({ HOST })).toBe(
        'The configuration is not valid:\n' +
          '  HOST: expected a loopback address, or keys in API_KEYS or CONFIG_FILE, ' +
          'or AUTH=off to serve everybody',
      );
    },
  );

  it.each(['127.0.0.1', 'localhost', '::1'])('needs no keys on HOST=%s', async (HOST) => {
    const app = await startApp({ HOST });
    await app.close();
  });

  it('serves other hosts with keys', async () => {
    const app = await startApp({ HOST: '0.0.0.0', API_KEYS: 'sk-alice' });
    await app.close();
  });

  it.each([
    ['PORT', 'secret-1', 'expected a whole number from 0 to 65535'],
    ['PORT', '70000', 'expected a whole number from 0 to 65535'],
    ['HEARTBEAT_MS', '-5', 'expected a whole number from 1 to 2147483647'],
    ['IDLE_TIMEOUT_MS', '1.5', 'expected a whole number from 1 to 2147483647'],
    ['FIRST_TOKEN_TIMEOUT_MS', '99999999999', 'expected a whole number from 1 to 2147483647'],
    ['OPENAI_BASE_URL', 'ftp://user:secret@host', 'expected an http or https URL'],
    ['AZURE_OPENAI_ENDPOINT', 'secret', 'expected an http or https URL'],
    ['OLLAMA_BASE_URL', 'secret:11434', 'expected an http or https URL'],
    ['LOG_LEVEL', 'secret', 'expected fatal, error, warn, log, debug or verbose'],
    ['DOCS', 'secret', 'expected on or off'],
    ['AUTH', 'secret', 'expected on or off'],
  ])('names %s, what was expected of it, and not %s', async (name, value, expected) => {
    const message = await refusal({ [name]: value });
    expect(message).toContain(`  ${name}: ${expected}`);
    expect(message).not.toContain(value);
  });

  it('names every bad variable at once', async () => {
    const message = await refusal({ PORT: 'x', DOCS: 'y' });
    expect(message).toMatch(/^The configuration is not valid:\n {2}PORT: .*\n {2}DOCS: .*$/);
  });

  it('names what an endpoint of Azure lacks', async () => {
    const message = await refusal({ AZURE_OPENAI_ENDPOINT: 'https://sluice.example' });
    expect(message).toContain('  AZURE_OPENAI_DEPLOYMENT: expected a name');
  });

  it('is refused where nothing would be left to answer', async () => {
    expect(await refusal({ DEMO: 'off' })).toContain('  DEMO: expected on, or a provider by ');
  });

  it('takes an empty variable as none', async () => {
    const app = await startApp({ PORT: '', API_KEYS: '', OPENAI_BASE_URL: '' });
    await app.close();
  });
});
