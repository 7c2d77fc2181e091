import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app.js';
import { createConfigFile, type TestConfigFile } from '../support/config-file.js';
import { collectGarbage } from '../support/garbage.js';

/** Requests a property. CI machines are small: depth comes from every run having another seed. */
const RUNS = 150;

/** What a request may leave in memory, in bytes, beside the noise of the test itself. */
const MAX_LEFT = 2_000;

/** What limits nothing here, and is counted for every request. */
const CONFIG = `keys:
  - name: ann
    key: sk-ann
    limits: { requests_per_minute: 1000000, tokens_per_minute: 9007199254740991, concurrent_streams: 1000000 }
`;

const POSTS = [
  '/v1/chat/stream',
  '/v1/chat/completions',
  '/openai/deployments/demo/chat/completions?api-version=2024-10-21',
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/v1/chat/ui',
  '/api/chat',
  '/api/generate',
  '/api/show',
  '/v1/tickets',
];

const GETS = [
  '/v1/chat/stream',
  '/v1/runs',
  '/v1/runs/run_1',
  '/v1/runs/run_1/events',
  '/v1/models',
  '/v1/models/x',
  '/v1/usage',
  '/v1/chat/ui/x/stream',
  '/v1/doctor/stream',
];

const MODEL = fc.oneof(fc.constant('demo/echo'), fc.string(), fc.jsonValue());

/** What looks like a request until one looks closer. */
const ALMOST = fc.record(
  {
    model: MODEL,
    messages: fc.oneof(
      fc.array(
        fc.record(
          {
            role: fc.oneof(fc.constantFrom('user', 'system', 'assistant', 'tool'), fc.jsonValue()),
            content: fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
            tool_calls: fc.jsonValue(),
            parts: fc.jsonValue(),
          },
          { requiredKeys: [] },
        ),
        { maxLength: 4 },
      ),
      fc.jsonValue(),
    ),
    stream: fc.oneof(fc.boolean(), fc.jsonValue()),
    n: fc.jsonValue(),
    max_tokens: fc.oneof(fc.integer(), fc.jsonValue()),
    tools: fc.jsonValue(),
    stream_options: fc.jsonValue(),
    options: fc.jsonValue(),
    prompt: fc.jsonValue(),
    id: fc.jsonValue(),
    ['__proto__']: fc.jsonValue(),
  },
  { requiredKeys: [] },
);

/** As Node lets them be sent. */
const HEADER = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,200}$/);

/** What is in use, in bytes, once runs that have ended are forgotten and nothing is garbage. */
async function heapUsed(): Promise<number> {
  await sleep(2_500);
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

describe('whatever is sent', () => {
  let app: RunningApp;
  let file: TestConfigFile;

  beforeAll(async () => {
    file = await createConfigFile(CONFIG);
    app = await startApp({
      DEMO: 'on',
      LOG_LEVEL: 'fatal',
      MAX_BODY_BYTES: 100_000,
      RUN_RETENTION_SECONDS: 1,
      CONFIG_FILE: file.path,
    });
  });
  afterAll(async () => {
    await app.close();
    await file.remove();
  });

  /** The status; the client leaves as soon as it has it. */
  function send(
    method: string,
    path: string,
    sent: Record<string, string> = {},
    body?: string | Buffer,
  ): Promise<number> {
    const headers = { 'api-key': 'sk-ann', ...sent };
    return new Promise((resolve, reject) => {
      const asked = request({ port: app.port, host: '127.0.0.1', method, path, headers });
      asked.once('response', (answer) => {
        answer.on('error', () => undefined);
        resolve(answer.statusCode!);
        answer.destroy();
      });
      asked.once('error', reject);
      asked.end(body);
    });
  }

  async function expectAnswered(status: Promise<number>) {
    const answered = await status;
    expect(answered).not.toBe(500);
    expect(await send('GET', '/health/live')).toBe(200);
  }

  const json = { 'content-type': 'application/json' };

  it('is answered: bodies that are JSON', async () => {
    const body = fc.oneof(ALMOST, fc.jsonValue());
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...POSTS), body, (path, value) =>
        expectAnswered(send('POST', path, json, JSON.stringify(value))),
      ),
      { numRuns: RUNS * 2 },
    );
  }, 120_000);

  it('is answered: bodies that are anything', async () => {
    const bytes = fc.uint8Array({ maxLength: 2_000 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...POSTS), bytes, HEADER, (path, body, type) =>
        expectAnswered(send('POST', path, { 'content-type': type }, Buffer.from(body))),
      ),
      { numRuns: RUNS },
    );
  }, 120_000);

  it('is answered: queries, cursors and other headers', async () => {
    const query = fc.dictionary(
      fc.oneof(
        fc.constantFrom('q', 'model', 'format', 'on_disconnect', 'idempotency_key', 'ticket'),
        fc.constantFrom('starting_after', 'status', 'start', 'end', 'ms', 'bytes', 'silence'),
        fc.string(),
      ),
      fc.string({ unit: 'binary' }),
      { maxKeys: 5 },
    );
    const headers = fc.record(
      {
        'last-event-id': fc.oneof(HEADER, fc.constantFrom('run_1:1', ':', 'run_1:-1', 'run_1:1e9')),
        'idempotency-key': HEADER,
        'sluice-on-disconnect': HEADER,
        accept: HEADER,
        authorization: HEADER,
        traceparent: HEADER,
        'x-request-id': HEADER,
        'if-none-match': HEADER,
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...GETS), query, headers, (path, search, sent) => {
        // It replaces half characters, as browsers do.
        const parameters = new URLSearchParams(search);
        return expectAnswered(send('GET', `${path}?${parameters}`, sent));
      }),
      { numRuns: RUNS * 2 },
    );
  }, 120_000);

  it('is answered: paths and methods', async () => {
    const path = fc.webPath().map((text) => `/${text.replace(/^\/+/, '')}`);
    const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD');
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('', '/v1', '/api', '/openai'),
        path,
        method,
        (base, rest, verb) => expectAnswered(send(verb, `${base}${rest}`)),
      ),
      { numRuns: RUNS },
    );
  }, 120_000);

  it('leaves nothing behind', async () => {
    const run = { model: 'demo/echo', messages: [{ role: 'user', content: 'hi' }] };
    const bodies = fc
      .sample(ALMOST, RUNS)
      .flatMap((body) => [body, run].map((each) => JSON.stringify(each)));
    const flood = async () => {
      for (const body of bodies) await send('POST', '/v1/chat/stream', json, body);
    };
    await flood();
    const before = await heapUsed();
    for (let round = 0; round < 4; round += 1) await flood();
    const left = ((await heapUsed()) - before) / (4 * bodies.length);
    expect(left).toBeLessThan(MAX_LEFT);
  }, 120_000);
});
