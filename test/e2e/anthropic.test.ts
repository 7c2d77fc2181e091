import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { open, type HttpCall } from '../support/http.js';
import { parseSse } from '../support/sse.js';
import { TEXT, TEXT_TOKENS, startUpstream, type Upstream } from '../support/upstream/index.js';

interface Event {
  type: string;
  delta?: { text?: string; thinking?: string; partial_json?: string; stop_reason?: string };
  error?: { type: string; message: string; details: { error_code: string } };
}

let upstream: Upstream;
let server: RunningApp;
let guarded: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  const env = { OPENAI_BASE_URL: `${upstream.url}/v1`, DEMO: 'on' };
  server = await startApp({ ...env, HEARTBEAT_MS: 60, COMMIT_AFTER_MS: 20, MAX_BODY_BYTES: 5_000 });
  guarded = await startApp({ ...env, API_KEYS: 'alice:sk-alice' });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await guarded.close();
  await upstream.close();
});

const messages = [{ role: 'user', content: 'hi there' }];

function send(body: string | object, headers: Record<string, string> = {}, app = server) {
  return open({ port: app.port, path: '/v1/messages', body, headers });
}

function ask(model: string, more: object = {}, headers: Record<string, string> = {}, app = server) {
  return send({ model, max_tokens: 100, messages, stream: true, ...more }, headers, app);
}

/** The events of a whole stream; every one has its type for a name. */
async function eventsOf(call: HttpCall): Promise<Event[]> {
  await call.ended;
  const { events, unterminated } = parseSse(call.text());
  expect(unterminated).toBe('');
  return events.map(({ event, data }) => {
    const parsed = JSON.parse(data) as Event;
    expect(parsed.type).toBe(event);
    return parsed;
  });
}

const shown = (events: Event[]) => events.filter(({ type }) => type !== 'ping');

const textOf = (events: Event[]) => events.map(({ delta }) => delta?.text ?? '').join('');

/** The types of a stream's events, each as often as it changes. */
const outline = (events: Event[]) =>
  shown(events)
    .map(({ type }) => type)
    .filter((type, at, types) => type !== types[at - 1])
    .map((type) => type.replace('content_block_', ''));

const BLOCK = ['start', 'delta', 'stop'];
const END = ['message_delta', 'message_stop'];

describe('POST /v1/messages', () => {
  it('streams what every demo model does', async () => {
    const outlines = {
      'demo/answer': ['message_start', ...BLOCK, ...END],
      'demo/echo': ['message_start', ...BLOCK, ...END],
      'demo/slow-start': ['message_start', ...BLOCK, ...END],
      'demo/reasoning': ['message_start', ...BLOCK, ...BLOCK, ...END],
      'demo/tools': ['message_start', ...BLOCK, ...END],
      'demo/error-mid': ['message_start', 'start', 'delta', 'error'],
      'demo/truncate': ['message_start', 'start', 'delta', 'error'],
      'demo/error': ['message_start', 'error'],
      'demo/rate-limit': ['message_start', 'error'],
    };
    const answers = Object.entries(outlines).map(async ([model, expected]) => {
      const call = ask(model);
      expect([model, outline(await eventsOf(call))]).toEqual([model, expected]);

      expect(await call.status).toBe(200);
      const headers = await call.headers;
      expect(headers['content-type']).toBe('text/event-stream; charset=utf-8');
      expect(headers['cache-control']).toContain('no-transform');
      expect(headers['request-id']).toBe(headers['x-request-id']);
      expect(headers['sluice-run-id']).toMatch(/^run_/);
    });
    await Promise.all(answers);
  });

  it('pings through every silence, and only there', async () => {
    const events = await eventsOf(ask('text_tokens-2_wait-600_ms-600'));
    const types = events.map(({ type }) => type);
    expect(types.indexOf('message_start')).toBe(0);
    expect(types.indexOf('ping')).toBeLessThan(types.indexOf('content_block_start'));
    expect(types.lastIndexOf('ping')).toBeGreaterThan(types.indexOf('content_block_delta'));

    expect(textOf(events)).toBe(TEXT_TOKENS.slice(0, 2).join(''));
    // One whose heartbeats are as far apart as usual.
    const quick = await eventsOf(ask('text', {}, { 'x-api-key': 'sk-alice' }, guarded));
    expect(shown(quick)).toEqual(quick);
    expect(textOf(quick)).toBe(TEXT);
  });

  it.each([true, false])(
    'closes the upstream when its client leaves (stream: %s)',
    async (stream) => {
      const call = ask('stall', { stream });
      const request = await upstream.next();
      if (stream) await call.until('content_block_delta');
      call.destroy();
      await request.closed;
      expect(request.closedEarly).toBe(true);
    },
  );

  it('ends a run that is stopped with an error, streamed and not', async () => {
    for (const stream of [true, false]) {
      const call = ask('demo/stall', { stream });
      const runs = () => fetch(`${server.url}/v1/runs?status=running`);
      let id: string | undefined;
      while (!id) id = ((await (await runs()).json()) as { data: { id: string }[] }).data[0]?.id;
      if (stream) await call.until('content_block_delta');
      await fetch(`${server.url}/v1/runs/${id}/cancel`, { method: 'POST' });
      await call.ended;
      const error = {
        type: 'conflict_error',
        message: 'The run was cancelled.',
        details: { error_code: 'cancelled' },
      };
      if (stream) {
        expect(shown(await eventsOf(call)).at(-1)).toEqual({ type: 'error', error });
      } else {
        expect(await call.status).toBe(409);
        expect(JSON.parse(call.text())).toMatchObject({ type: 'error', error });
      }
    }
  });

  it('resumes after any event, and continues as it was', async () => {
    const first = ask('demo/tools', {}, { 'Sluice-On-Disconnect': 'continue' });
    await first.ended;
    const runId = String((await first.headers)['sluice-run-id']);
    const events = parseSse(first.text()).events.filter(({ event }) => event !== 'ping');
    const ids = [...new Set(events.map(({ id }) => id))].filter((id) => id !== '');
    expect(ids.length).toBeGreaterThan(3);

    for (const id of ids.slice(0, -1)) {
      const again = open({
        port: server.port,
        path: `/v1/runs/${runId}/events?format=anthropic`,
        headers: { 'last-event-id': id },
      });
      await again.ended;
      const seen = events.findIndex((event) => event.id === id) + 1;
      const rest = parseSse(again.text()).events.filter(({ event }) => event !== 'ping');
      expect(rest.map(({ data }) => data)).toEqual(events.slice(seen).map(({ data }) => data));
    }
  });

  it('is a format of the native route', async () => {
    const call = open({
      port: server.port,
      path: '/v1/chat/stream?format=anthropic',
      body: { model: 'demo/echo', messages },
    });
    expect(textOf(await eventsOf(call))).toBe('hi there');
  });
});

describe('a failure before the first byte', () => {
  const good = { model: 'demo', max_tokens: 100, messages };

  it.each<[string, number, string, string, () => HttpCall]>([
    [
      'no max_tokens',
      400,
      'invalid_request_error',
      'invalid_request',
      () => send({ model: 'demo', messages }),
    ],
    [
      'no model',
      400,
      'invalid_request_error',
      'invalid_request',
      () => send({ max_tokens: 100, messages }),
    ],
    [
      'a message of nothing',
      400,
      'invalid_request_error',
      'invalid_request',
      () => send({ ...good, messages: [{ role: 'user', content: [] }] }),
    ],
    [
      'the choice of a tool without a name',
      400,
      'invalid_request_error',
      'invalid_request',
      () => send({ ...good, tool_choice: { type: 'tool' } }),
    ],
    [
      'what is not JSON',
      400,
      'invalid_request_error',
      'invalid_request',
      () => send('{', { 'content-type': 'application/json' }),
    ],
    [
      'another content type',
      415,
      'invalid_request_error',
      'invalid_request',
      () => send(JSON.stringify(good), { 'content-type': 'text/plain' }),
    ],
    [
      'a body that is too large',
      413,
      'request_too_large',
      'invalid_request',
      () => send({ ...good, system: 'x'.repeat(5_000) }),
    ],
    [
      'an unknown model',
      404,
      'not_found_error',
      'model_not_found',
      () => send({ ...good, model: 'demo/nothing' }),
    ],
    ['no key', 401, 'authentication_error', 'invalid_api_key', () => send(good, {}, guarded)],
    [
      'a foreign origin',
      403,
      'permission_error',
      'permission_denied',
      () => send(good, { origin: 'https://evil.example' }),
    ],
    [
      'a limit of the provider',
      429,
      'rate_limit_error',
      'provider_rate_limited',
      () => send({ ...good, model: 'demo/rate-limit' }),
    ],
    [
      'a provider that is away',
      502,
      'api_error',
      'provider_unavailable',
      () => send({ ...good, model: 'demo/error' }),
    ],
    [
      'an answer that breaks off',
      502,
      'api_error',
      'provider_truncated',
      () => send({ ...good, model: 'demo/truncate' }),
    ],
  ])('%s: %s %s', async (_, status, type, code, failing) => {
    const call = failing();
    await call.ended;
    const headers = await call.headers;

    expect(await call.status).toBe(status);
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(headers['x-should-retry']).toMatch(/^(true|false)$/);
    expect(headers['retry-after']).toBe(status === 429 ? '7' : undefined);
    const body = JSON.parse(call.text()) as { error: { message: string } };
    const { message } = body.error;
    expect(message).not.toBe('');
    expect(body).toEqual({
      type: 'error',
      error: { type, message, details: { error_code: code } },
      request_id: headers['request-id'],
    });
  });

  it('has the same shape on the routes beside it, for clients of this API', async () => {
    const version = { 'anthropic-version': '2023-06-01', 'anthropic-beta': 'any-2030-01-01' };
    for (const path of ['/v1/models/demo/nothing', '/v1/messages/batches']) {
      const call = open({ port: server.port, path, headers: version });
      await call.ended;
      expect(await call.status).toBe(404);
      expect(JSON.parse(call.text())).toMatchObject({
        type: 'error',
        error: { type: 'not_found_error' },
      });
    }
    const other = open({ port: server.port, path: '/v1/models/demo/nothing' });
    await other.ended;
    expect(JSON.parse(other.text())).toMatchObject({ error: { code: 'model_not_found' } });
  });
});

describe('GET /v1/models', () => {
  it('has the shape of the API whose client asks', async () => {
    const list = async (headers: Record<string, string>) =>
      (await fetch(`${server.url}/v1/models`, { headers })).json() as Promise<object>;

    const demo = { type: 'model', id: 'demo', display_name: 'demo' };
    expect(await list({ 'anthropic-version': '2023-06-01' })).toMatchObject({
      data: expect.arrayContaining([expect.objectContaining(demo)]),
      has_more: false,
      first_id: 'openai',
    });
    expect(await list({})).toMatchObject({ object: 'list' });
  });
});

it('counts tokens without a limit of them, and asks no provider', async () => {
  const call = open({
    port: server.port,
    path: '/v1/messages/count_tokens?beta=true',
    body: { model: 'text', messages },
  });
  await call.ended;
  expect(call.text()).toBe('{"input_tokens":8}');
  expect(upstream.requests).toEqual([]);
});
