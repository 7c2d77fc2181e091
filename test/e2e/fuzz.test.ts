import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { request } from 'node:http';
import { startApp, type RunningApp } from '../support/app.js';

/** Requests a property. CI machines are small: depth comes from every run having another seed. */
const RUNS = 150;

const MAX_GROWTH_MB = 96;

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
    __proto__: fc.jsonValue(),
  },
  { requiredKeys: [] },
);

/** As Node lets them be sent. */
const HEADER = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,200}$/);

describe('whatever is sent', () => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await startApp({ DEMO: 'on', LOG_LEVEL: 'fatal', MAX_BODY_BYTES: 100_000 });
  });
  afterAll(() => app.close());

  /** The status; the client leaves as soon as it has it. */
  function send(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string | Buffer,
  ): Promise<number> {
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
    const flood = async () => {
      for (const body of fc.sample(ALMOST, RUNS * 2)) {
        await send('POST', '/v1/chat/stream', json, JSON.stringify(body));
      }
    };
    await flood();
    const before = process.memoryUsage().rss;
    await flood();
    const grownMb = (process.memoryUsage().rss - before) / 2 ** 20;
    expect(grownMb).toBeLessThan(MAX_GROWTH_MB);
  }, 120_000);
});
