import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigFile } from '../../src/config/file/config-file.js';
import { startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall } from '../support/http.js';
import { describeRedis, startRedis } from '../support/redis.js';
import { answerOf, ask, cancel, runIdOf, view } from '../support/runs.js';
import { describeStores, type Cluster } from '../support/stores.js';
import { startUpstream, TEXT_TOKENS, type Upstream } from '../support/upstream/index.js';
import { PROMPT_TOKENS } from '../support/upstream/wire.js';

let upstream: Upstream;
let directory: string;
let file: string;

beforeAll(async () => {
  upstream = await startUpstream();
  directory = await mkdtemp(join(tmpdir(), 'sluice-'));
  file = join(directory, 'sluice.yaml');
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await upstream.close();
  await rm(directory, { recursive: true });
});

/** One key for each test, so that none has what another used. */
const KEYS = {
  free: '',
  requests: 'limits: { requests_per_minute: 3 }',
  replays: 'limits: { requests_per_minute: 1, concurrent_streams: 1 }',
  taken: 'limits: { concurrent_streams: 1 }',
  ends: 'limits: { concurrent_streams: 1 }',
  grace: 'limits: { concurrent_streams: 1 }',
  minute: 'limits: { tokens_per_minute: 100 }',
  daily: 'limits: { tokens_per_day: 100 }',
  refunds: 'limits: { tokens_per_day: 2000 }',
  shapes: 'limits: { requests_per_minute: 1, tokens_per_minute: 5000 }',
  models: '',
  patterns: '',
  huge: 'limits: { concurrent_streams: 1 }',
  reload: 'limits: { requests_per_minute: 1 }',
};

const CONFIG = `
models:
  fast: { targets: [openai/text_tokens-7] }
keys:
${Object.entries(KEYS)
  .map(([name, limits]) => `  - { name: ${name}, key: key-${name}, ${limits} }`)
  .join('\n')}
limits:
  models:
    text_tokens-7: { requests_per_minute: 2 }
    text_tokens-6: { requests_per_minute: 1 }
    'openai/text_tokens-*': { requests_per_minute: 100 }
    'slow_tokens-*': { concurrent_streams: 3 }
`;

const as = (key: keyof typeof KEYS) => ({ authorization: `Bearer key-${key}` });

interface Question {
  model?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: object;
}

function asks(
  port: number,
  key: keyof typeof KEYS,
  { model = 'text', headers, ...rest }: Question = {},
): HttpCall {
  return ask(port, model, { headers: { ...as(key), ...headers }, ...rest });
}

async function statusOf(call: HttpCall): Promise<number> {
  await call.ended;
  return call.status;
}

describeStores('limits', (store) => {
  let cluster: Cluster;
  let here: number;
  let there: number;
  beforeAll(async () => {
    await writeFile(file, CONFIG);
    cluster = await store.start({ OPENAI_BASE_URL: `${upstream.url}/v1`, CONFIG_FILE: file });
    ({ port: here } = cluster.here);
    ({ port: there } = cluster.there);
  });
  afterAll(() => cluster.close());

  it('says how a key stands, and refuses what is too much, before anything is asked upstream', async () => {
    const said: unknown[] = [];
    for (const port of [here, there, here]) {
      const call = asks(port, 'requests');
      expect(await statusOf(call)).toBe(200);
      const headers = await call.headers;
      said.push(headers['x-ratelimit-remaining-requests']);
      expect(headers['x-ratelimit-limit-requests']).toBe('3');
      expect(headers['x-ratelimit-reset-requests']).toBe('1m1s');
      expect(headers).not.toHaveProperty('x-ratelimit-limit-tokens');
    }
    expect(said).toEqual(['2', '1', '0']);

    const { status, headers, body } = await answerOf(asks(there, 'requests'));
    expect(status).toBe(429);
    expect(headers).toMatchObject({
      'x-should-retry': 'true',
      'x-ratelimit-limit-requests': '3',
      'x-ratelimit-remaining-requests': '0',
    });
    const ms = Number(headers['retry-after-ms']);
    expect(ms).toBeGreaterThan(30_000);
    expect(ms).toBeLessThanOrEqual(61_000);
    expect(headers['retry-after']).toBe(String(Math.ceil(ms / 1_000)));
    expect(body.error).toEqual({
      message: 'The key is limited to 3 requests a minute.',
      type: 'rate_limit_error',
      code: 'rate_limit_exceeded',
      param: null,
    });
    expect(upstream.requests).toHaveLength(3);
    const runs = await answerOf<{ data: object[] }>(
      open({ port: here, path: '/v1/runs', headers: as('requests') }),
    );
    expect(runs.body.data).toHaveLength(3);
  });

  it('says nothing of limits to a key without any', async () => {
    const call = asks(here, 'free');
    expect(await statusOf(call)).toBe(200);
    expect(Object.keys(await call.headers).join()).not.toContain('ratelimit');
  });

  it('lets views, joins and replays go on at no cost', async () => {
    const headers = { 'idempotency-key': 'again', 'sluice-on-disconnect': 'continue' };
    const question = { model: 'slow_tokens-40_ms-20', headers };
    const calls = [here, there, here, there, here].map((port) => asks(port, 'replays', question));
    expect(await Promise.all(calls.map(statusOf))).toEqual(calls.map(() => 200));
    const ids = await Promise.all(calls.map(runIdOf));
    expect(new Set(ids).size).toBe(1);
    expect(upstream.requests).toHaveLength(1);

    expect(await statusOf(asks(there, 'replays', question))).toBe(200);
    expect(await statusOf(view(there, ids[0]!, { after: 5, headers: as('replays') }))).toBe(200);
    expect(await statusOf(asks(here, 'replays'))).toBe(429);
    expect(upstream.requests).toHaveLength(1);
  });

  it('gives the idempotency key of a request that was refused back', async () => {
    const first = asks(here, 'taken', { model: 'slow_tokens-400_ms-20' });
    await first.until('data: {"content"');
    const keyed = { headers: { 'idempotency-key': 'later' } };
    expect(await statusOf(asks(there, 'taken', keyed))).toBe(429);
    first.destroy();
    await eventually(async () => {
      expect(await statusOf(asks(there, 'taken', keyed))).toBe(200);
    });
    expect(await statusOf(asks(here, 'taken', keyed))).toBe(200);
    expect(upstream.requests).toHaveLength(2);
  });

  it.each<[string, Question, (call: HttpCall, port: number) => unknown]>([
    ['its end', {}, (call) => call.ended],
    ["its client's leaving", { model: 'slow_tokens-400_ms-20' }, leave],
    ["its client's leaving before the first token", { model: 'wait-first' }, leave],
    ['a stop', { model: 'slow_tokens-400_ms-20' }, stop],
    ['a refusal by the provider', { model: 'status-400' }, (call) => call.ended],
    ['a broken stream', { model: 'rst-mid' }, (call) => call.ended],
    ['a whole answer', { path: '/v1/chat/completions' }, (call) => call.ended],
  ])('has one stream at a time, and the next after %s', async (_name, question, end) => {
    const call = asks(here, 'ends', question);
    await upstream.next();
    const refused = await answerOf(asks(there, 'ends'));
    await end(call, here);
    // The first may have been over already.
    if (refused.status !== 200) {
      expect(refused.status).toBe(429);
      expect(refused.headers['retry-after']).toBe('1');
      expect(refused.body.error.message).toBe('The key is limited to 1 streams at a time.');
    }
    await eventually(async () => expect(await statusOf(asks(there, 'ends'))).toBe(200), 3_000);
  });

  it('counts a stream for as long as it is generated, viewed or not', async () => {
    const headers = { 'sluice-on-disconnect': 'grace=1' };
    const call = asks(here, 'grace', { model: 'slow_tokens-400_ms-20', headers });
    await call.until('data: {"content"');
    call.destroy();
    const leftAt = performance.now();
    expect(await statusOf(asks(there, 'grace'))).toBe(429);
    await eventually(async () => expect(await statusOf(asks(there, 'grace'))).toBe(200), 3_000);
    expect(performance.now() - leftAt).toBeGreaterThan(900);
  });

  it('counts the tokens that were used, not those that were asked for', async () => {
    const body = { max_tokens: 60 };
    const used = PROMPT_TOKENS + TEXT_TOKENS.length;
    const first = asks(here, 'minute', { body });
    expect(await statusOf(first)).toBe(200);
    // A message of two letters and what the format adds are taken for 9.
    expect(await first.headers).toMatchObject({
      'x-ratelimit-limit-tokens': '100',
      'x-ratelimit-remaining-tokens': String(100 - 69),
    });
    await eventually(async () => {
      const second = asks(there, 'minute', { body });
      expect(await statusOf(second)).toBe(200);
      expect((await second.headers)['x-ratelimit-remaining-tokens']).toBe(String(100 - used - 69));
    });
    await eventually(async () => {
      const { status, headers, body: failure } = await answerOf(asks(here, 'minute', { body }));
      expect(headers['x-ratelimit-remaining-tokens']).toBe(String(100 - 2 * used));
      expect([status, failure.error.code]).toEqual([429, 'rate_limit_exceeded']);
    });
    const never = await answerOf(asks(here, 'minute', { body: { max_tokens: 92 } }));
    expect(never).toMatchObject({ status: 429, headers: { 'x-should-retry': 'false' } });
    expect(never.headers).not.toHaveProperty('retry-after');
    expect(never.body.error.message).toContain('may need 101');
  });

  it('has a budget for the day', async () => {
    const body = { max_tokens: 40 };
    for (const port of [here, there]) {
      expect(await statusOf(asks(port, 'daily', { body }))).toBe(200);
    }
    await eventually(async () => {
      const {
        status,
        headers,
        body: failure,
      } = await answerOf(asks(here, 'daily', { body: { max_tokens: 70 } }));
      expect([status, failure.error.code]).toEqual([429, 'insufficient_quota']);
      expect(headers).toMatchObject({
        'x-should-retry': 'false',
        'x-ratelimit-remaining-tokens': String(100 - 2 * (PROMPT_TOKENS + TEXT_TOKENS.length)),
      });
      const seconds = Number(headers['retry-after']);
      const midnight = new Date().setUTCHours(24, 0, 0, 0);
      expect(Math.abs(seconds - (midnight - Date.now()) / 1_000)).toBeLessThan(5);
    });
  });

  it('gives back what a failed run and a cancelled one did not use', async () => {
    const remaining = async () => {
      const call = asks(there, 'refunds', { model: 'status-400', body: { max_tokens: 1 } });
      await call.ended;
      // Without what it takes itself.
      return Number((await call.headers)['x-ratelimit-remaining-tokens']) + 10;
    };
    const body = { max_tokens: 1_500 };
    expect(await statusOf(asks(here, 'refunds', { model: 'status-400', body }))).toBe(400);
    await eventually(async () => expect(await remaining()).toBe(2_000));

    const call = asks(here, 'refunds', { model: 'slow_tokens-400_ms-20', body });
    await call.until(':10\n');
    expect(await remaining()).toBe(2_000 - 1_509);
    call.destroy();
    await eventually(async () => {
      expect(await remaining()).toBeGreaterThan(1_900);
      expect(await remaining()).toBeLessThan(2_000);
    });
  });

  it.each([
    [
      '/v1/chat/completions',
      'x-ratelimit-limit-requests',
      { error: { code: 'rate_limit_exceeded' } },
    ],
    [
      '/v1/messages',
      'anthropic-ratelimit-requests-limit',
      { type: 'error', error: { type: 'rate_limit_error' } },
    ],
    [
      '/api/chat',
      'x-ratelimit-limit-requests',
      { error: 'The key is limited to 1 requests a minute.' },
    ],
    ['/v1/chat/ui', 'x-ratelimit-limit-requests', undefined],
  ])('is told to the clients of %s in their own words', async (path, header, expected) => {
    const ui = { messages: [{ id: '1', role: 'user', parts: [{ type: 'text', text: 'hi' }] }] };
    const body = { max_tokens: 100, stream: true, ...(path.endsWith('ui') && ui) };
    // The first of them all is let in.
    await asks(here, 'shapes', { path, body }).ended;
    const refused = await answerOf(asks(here, 'shapes', { path, body }));
    expect([refused.status, refused.headers[header]]).toEqual([429, '1']);
    if (expected) expect(refused.body).toMatchObject(expected);
    else expect(refused.body).toBe('The key is limited to 1 requests a minute.');
    if (path === '/v1/messages') {
      expect(refused.headers['anthropic-ratelimit-tokens-remaining']).toMatch(/^\d+$/);
      expect(refused.headers['anthropic-ratelimit-requests-reset']).toMatch(/^\d{4}-.*:\d\dZ$/);
      expect(Object.keys(refused.headers).join()).not.toContain('x-ratelimit');
    }
  });

  it('limits a model by whatever name it is asked for', async () => {
    const names = ['fast', 'text_tokens-7', 'openai/text_tokens-7', 'fast'];
    const statuses: number[] = [];
    for (const model of names) statuses.push(await statusOf(asks(here, 'models', { model })));
    expect(statuses).toEqual([200, 200, 429, 429]);
    const { body } = await answerOf(asks(here, 'models', { model: 'openai/text_tokens-7' }));
    expect(body.error.message).toBe(
      'The key is limited to 2 requests a minute for models text_tokens-7.',
    );
    expect(await statusOf(asks(here, 'models'))).toBe(200);
    // Those of other keys are theirs.
    expect(await statusOf(asks(here, 'free', { model: 'fast' }))).toBe(200);
  });

  it('limits a model by every pattern that one of its names has', async () => {
    const statuses: number[] = [];
    for (const model of ['openai/text_tokens-6', 'openai/text_tokens-6', 'text_tokens-6']) {
      statuses.push(await statusOf(asks(here, 'patterns', { model })));
    }
    expect(statuses).toEqual([200, 429, 429]);
  });

  it('counts a stream whatever its request says that it may use', async () => {
    const path = '/v1/chat/completions';
    const body = { n: 128, max_tokens: Number.MAX_SAFE_INTEGER, stream: true };
    const model = 'slow_tokens-400_ms-20';
    const call = asks(here, 'huge', { model, path, body });
    await upstream.next();
    expect(await statusOf(asks(there, 'huge', { path, body }))).toBe(429);
    call.destroy();
  });

  it('changes with a reload', async () => {
    expect(await statusOf(asks(here, 'reload'))).toBe(200);
    expect(await statusOf(asks(here, 'reload'))).toBe(429);
    await writeFile(
      file,
      CONFIG.replace(KEYS.reload, '').replace(
        'limits:\n  models',
        `limits:
  default: { requests_per_minute: 3 }
  models`,
      ),
    );
    cluster.here.app.get(ConfigFile).reload();
    expect(await statusOf(asks(here, 'reload'))).toBe(200);
    expect(await statusOf(asks(here, 'reload'))).toBe(200);
    expect(await statusOf(asks(here, 'reload'))).toBe(429);
  });
});

function leave(call: HttpCall) {
  call.destroy();
}

async function stop(call: HttpCall, port: number) {
  await cancel(port, await runIdOf(call), as('ends'));
}

describeRedis('limits without their Redis', () => {
  it.each([
    ['allow', 200],
    ['deny', 503],
  ] as const)('%s', async (policy, expected) => {
    await writeFile(file, 'keys: [{ name: a, key: key-a, limits: { requests_per_minute: 1 } }]');
    const redis = await startRedis();
    const app = await startApp({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      CONFIG_FILE: file,
      REDIS_URL: redis.url,
      LIMITS_ON_ERROR: policy,
    });
    const headers = { authorization: 'Bearer key-a' };
    expect(await statusOf(ask(app.port, 'text', { headers }))).toBe(200);
    expect(await statusOf(ask(app.port, 'text', { headers }))).toBe(429);
    await redis.stop();
    const away = await answerOf(ask(app.port, 'text', { headers }));
    expect(away.status).toBe(expected);
    expect(away.headers).not.toHaveProperty('x-ratelimit-limit-requests');
    if (policy === 'deny') expect(away.body.error.code).toBe('store_unavailable');
    await app.close();
    await redis.close();
  });
});

describe('the section limits of the configuration file', () => {
  it('is checked as the rest of it is', async () => {
    await writeFile(
      file,
      "limits:\n  default: { request_per_minute: 1 }\n  models: { 'a*b*': {} }",
    );
    await expect(startApp({ CONFIG_FILE: file })).rejects.toThrow(
      /2 limits\.default\.request_per_minute: [^]*3 limits\.models\["a\*b\*"\]: /,
    );
  });
});
