import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect, type Server } from 'node:net';
import { text as read } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app.js';
import { closed, sendHead } from '../support/connection.js';
import { eventually } from '../support/eventually.js';
import { collectGarbage } from '../support/garbage.js';
import { open, type HttpCall } from '../support/http.js';
import { SilentServer } from '../support/silent-server.js';
import { parseSse } from '../support/sse.js';
import {
  NASTY,
  startUpstream,
  TEXT,
  TEXT_TOKENS,
  bigText,
  textOf,
  type Exchange,
  type Upstream,
} from '../support/upstream/index.js';

const PROVIDERS = ['openai', 'azure', 'ollama'] as const;

let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
});

afterEach(() => upstream.reset());

afterAll(() => upstream.close());

/** An application for the tests of the surrounding `describe`, with every provider. */
function anApp(env: Record<string, string | number>, url = () => upstream.url) {
  const running = {} as RunningApp;
  beforeAll(async () => {
    const providers = {
      OPENAI_BASE_URL: `${url()}/v1`,
      OPENAI_API_KEY: 'key',
      AZURE_OPENAI_ENDPOINT: url(),
      AZURE_OPENAI_API_KEY: 'key',
      AZURE_OPENAI_DEPLOYMENT: 'text',
      AZURE_OPENAI_API_VERSION: '2024-10-21',
      OLLAMA_BASE_URL: url(),
    };
    Object.assign(running, await startApp({ ...providers, ...env }));
  });
  afterAll(() => running.close());
  return running;
}

const messages = [{ role: 'user', content: 'hello' }];

const stream = (query: string) => (app: RunningApp, model: string) =>
  open({ port: app.port, path: `/v1/chat/stream${query}`, body: { model, messages } });

const complete = (streaming: boolean) => (app: RunningApp, model: string) => {
  const body = { model, messages, stream: streaming };
  return open({ port: app.port, path: '/v1/chat/completions', body });
};

const asJson = stream('');
const asText = stream('?format=text');
const asPlain = stream('?format=plain');
const asOpenai = stream('?format=openai');
const asChunks = complete(true);
const asCompletion = complete(false);

interface Body {
  content?: string;
  code?: string;
  error?: { code: string };
  choices?: { delta?: { content?: string }; message?: { content?: string } }[];
}

const parse = (json: string) => JSON.parse(json) as Body;

function eventsOf(call: HttpCall) {
  const { events, unterminated } = parseSse(call.text());
  expect(unterminated).toBe('');
  return events;
}

/** What each of the dialects that can say everything said. */
const CONTENT: [string, typeof asJson, (call: HttpCall) => string][] = [
  [
    'json',
    asJson,
    (call) => {
      const events = eventsOf(call);
      expect(events.at(-1)?.event).toBe('done');
      const texts = events.filter(({ event }) => event === 'message');
      return texts.map(({ data }) => parse(data).content).join('');
    },
  ],
  ['format=openai', asOpenai, chunksContent],
  ['/v1/chat/completions, streaming', asChunks, chunksContent],
  [
    '/v1/chat/completions, not streaming',
    asCompletion,
    (call) => parse(call.text()).choices![0]!.message!.content!,
  ],
];

function chunksContent(call: HttpCall): string {
  const events = eventsOf(call);
  expect(events.pop()?.data).toBe('[DONE]');
  return events.map(({ data }) => parse(data).choices?.[0]?.delta?.content ?? '').join('');
}

function errorCode(call: HttpCall): string | undefined {
  const last = parse(eventsOf(call).at(-1)?.data ?? '{}');
  return last.code ?? last.error?.code;
}

describe('a silence', () => {
  const HEARTBEAT_MS = 40;
  const COMMIT_AFTER_MS = 250;
  const env = { HEARTBEAT_MS, MAX_ATTEMPTS: 1, BREAKER_FAILURES: 0 };
  const app = anApp({ ...env, COMMIT_AFTER_MS });
  const patient = anApp(env);

  it.each([
    ['json', asJson],
    ['format=text', asText],
    ['format=plain', asPlain],
    ['format=openai', asOpenai],
    ['/v1/chat/completions', asChunks],
  ])('keeps the headers back, then commits without content: %s', async (_name, ask) => {
    const startedAt = performance.now();
    const call = ask(app, 'wait-first');

    expect(await call.status).toBe(200);

    expect(performance.now() - startedAt).toBeGreaterThan(COMMIT_AFTER_MS - 20);
    call.destroy();
  });

  it.each([
    ['json', asJson, /^\n?event: start\nid: run_\w+:1\nretry: 1000\ndata: \S+\n\n(: ping\n\n){3}/],
    ['format=text', asText, /^\n?(: ping\n\n){3}/],
    ['format=openai', asOpenai, /^(: ping\n){3}(?!\n)/],
    ['/v1/chat/completions', asChunks, /^(: ping\n){3}(?!\n)/],
  ])('before the first token is filled with comments: %s', async (_name, ask, expected) => {
    const call = ask(app, 'wait-first');
    expect(await call.until(/(: ping\n+){4}/)).toMatch(expected);
    call.destroy();
  });

  it.each([
    ['json', asJson, '"Hello"', /: ping\n\n: ping\n\n$/],
    ['format=text', asText, 'Hello', /: ping\n\n: ping\n\n$/],
    ['format=openai', asOpenai, '"Hello"', /\n\n(: ping\n){2,}$/],
  ])('mid-stream is filled with comments: %s', async (_name, ask, first, expected) => {
    const call = ask(app, 'stall');
    expect(await call.until(expected)).toContain(first);
    call.destroy();
  });

  it('has nothing to fill it in plain text', async () => {
    const call = asPlain(app, 'stall');
    await call.until(textOf(3));
    await delay(3 * HEARTBEAT_MS);
    expect(call.text()).toBe(textOf(3));
    call.destroy();
  });

  it.each(CONTENT)(
    'never comes between what belongs together: %s',
    async (_name, ask, contentOf) => {
      const call = ask(app, `slow_ms-${2 * HEARTBEAT_MS}_tokens-4`);
      expect(await call.ended).toBe('complete');
      expect(contentOf(call)).toBe(textOf(4));
    },
  );

  it.each([
    ['json', asJson],
    ['format=openai', asOpenai],
    ['/v1/chat/completions', asChunks],
  ])('that ends in a failure before the commit keeps its status: %s', async (_name, ask) => {
    const call = ask(patient, 'status-503_wait-60');
    expect(await call.status).toBe(502);
    await call.ended;
    expect(parse(call.text()).error?.code).toBe('provider_unavailable');
  });

  it.each([
    ['json', asJson],
    ['format=text', asText],
    ['format=openai', asOpenai],
    ['/v1/chat/completions', asChunks],
  ])('that ends in a failure after the commit ends in an error: %s', async (_name, ask) => {
    const call = ask(app, `status-503_wait-${2 * COMMIT_AFTER_MS}`);
    expect(await call.status).toBe(200);
    expect(await call.ended).toBe('complete');
    expect(errorCode(call)).toBe('provider_unavailable');
  });

  it('that ends in a failure after the commit breaks plain text off', async () => {
    const call = asPlain(app, `status-503_wait-${2 * COMMIT_AFTER_MS}`);
    expect(await call.status).toBe(200);
    expect(await call.ended).toBe('truncated');
  });

  it('breaks plain text off also where its turn on the connection comes after that', async () => {
    const request = (model: string) => {
      const body = JSON.stringify({ model, messages });
      const head = 'POST /v1/chat/stream?format=plain HTTP/1.1\r\nhost: 127.0.0.1\r\n';
      const length = `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
      return head + length + body;
    };
    const socket = connect(app.port, '127.0.0.1').setEncoding('utf8');
    socket.write(
      request(`slow_ms-${COMMIT_AFTER_MS}_tokens-5`) +
        request(`status-503_wait-${2 * COMMIT_AFTER_MS}`),
    );
    const [first, second] = (await socket.toArray()).join('').split('0\r\n\r\n');
    expect(first).toContain(TEXT_TOKENS[4]);
    expect(second).toMatch(/^HTTP\/1\.1 200 OK\r\n(.+\r\n)+\r\n$/);
  });

  it('breaks plain text off with a reset over HTTP/1.0, where an end would look like success', async () => {
    const body = JSON.stringify({ model: 'error-mid', messages });
    const head = ['POST /v1/chat/stream?format=plain HTTP/1.0', 'Host: localhost'];
    const lines = ['Content-Type: application/json', `Content-Length: ${body.length}`];
    const call = await sendHead(app.port, ...head, ...lines);
    call.socket.write(body);

    await closed(call.socket);

    expect(call.received()).toContain(`\r\n\r\n${TEXT_TOKENS.slice(0, 3).join('')}`);
    expect(call.socket.errored).toMatchObject({ code: 'ECONNRESET' });
  });

  it('does not commit an answer that is not streamed', async () => {
    const call = asCompletion(app, `status-503_wait-${2 * COMMIT_AFTER_MS}`);
    expect(await call.status).toBe(502);
  });
});

describe('a deadline', () => {
  const deadlines = {
    FIRST_TOKEN_TIMEOUT_MS: 1000,
    IDLE_TIMEOUT_MS: 600,
    TOTAL_TIMEOUT_MS: 2000,
  };
  const app = anApp(deadlines);
  let silence: SilentServer;
  beforeAll(async () => {
    silence = await new SilentServer().listen();
  });
  afterAll(() => silence.close());
  const unconnected = anApp({ ...deadlines, CONNECT_TIMEOUT_MS: 200 }, () => silence.url);

  describe.each(PROVIDERS)('of %s', (provider) => {
    it.each(['wait-headers', 'wait-first'])(
      'for the first token is a 504 and closes the upstream: %s',
      async (model) => {
        const asks = [asJson, asText, asPlain, asOpenai, asChunks, asCompletion];
        const calls = asks.map((ask) => ask(app, `${provider}/${model}`));

        for (const call of calls) await expectRefusal(call, 'timeout_first_token');

        await Promise.all(upstream.requests.map(({ closed }) => closed));
        expect(upstream.closedEarly).toBe(asks.length);
      },
    );

    it.each([
      ['timeout_idle', 'stall'],
      ['timeout_total', 'slow_ms-50_tokens-1000'],
    ])('mid-stream is an error, %s, and closes the upstream', async (code, model) => {
      const calls = [asJson, asText, asOpenai, asChunks].map((ask) =>
        ask(app, `${provider}/${model}`),
      );
      const plain = asPlain(app, `${provider}/${model}`);
      const completion = asCompletion(app, `${provider}/${model}`);

      expect(await Promise.all(calls.map(({ ended }) => ended))).toEqual(
        calls.map(() => 'complete'),
      );

      expect(calls.map(errorCode)).toEqual(calls.map(() => code));
      expect(await plain.ended).toBe('truncated');
      await expectRefusal(completion, code);
      await Promise.all(upstream.requests.map(({ closed }) => closed));
      expect(upstream.requests).toHaveLength(6);
      expect(upstream.closedEarly).toBe(6);
    });

    it('for connecting is a 504 and closes the connection', async () => {
      await expectRefusal(asJson(unconnected, `${provider}/text`), 'timeout_connect');
      await eventually(() => expect(silence.sockets.size).toBe(0));
    });
  });

  async function expectRefusal(call: HttpCall, code: string) {
    expect(await call.status).toBe(504);
    expect((await call.headers)['x-should-retry']).toBe('false');
    await call.ended;
    expect(parse(call.text()).error?.code).toBe(code);
  }
});

describe('a limit', () => {
  const MAX_BODY_BYTES = 1_000_000;
  const MAX_RUN_BYTES = 200_000;
  const app = anApp({ MAX_BODY_BYTES, MAX_RUN_BYTES });

  it('on the body is told with 413', async () => {
    const content = 'x'.repeat(MAX_BODY_BYTES);
    const body = { messages: [{ role: 'user', content }] };
    for (const path of ['/v1/chat/stream', '/v1/chat/completions']) {
      const call = open({ port: app.port, path, body });
      expect(await call.status).toBe(413);
      await call.ended;
      expect(parse(call.text()).error?.code).toBe('invalid_request');
    }
    expect(upstream.requests).toEqual([]);
  });

  it('on the number of messages is told with 400', async () => {
    const body = { messages: Array.from({ length: 10_001 }, () => messages[0]) };
    const call = open({ port: app.port, path: '/v1/chat/stream', body });
    expect(await call.status).toBe(400);
    expect(await call.until('}}')).toContain('messages');
  });

  it.each(PROVIDERS)(
    "on %s's lines is told at once, and the upstream is closed",
    async (provider) => {
      const call = asJson(app, `${provider}/endless-line`);
      const asked = await upstream.next();

      expect(await call.ended).toBe('complete');

      expect(errorCode(call)).toBe('provider_malformed');
      await asked.closed;
      expect(asked.closedEarly).toBe(true);
    },
  );

  it.each(PROVIDERS)("on a run's size is told at once, and %s is closed", async (provider) => {
    const call = asJson(app, `${provider}/flood_tokens-1000000`);
    const asked = await upstream.next();

    expect(await call.ended).toBe('complete');

    const last = eventsOf(call).at(-1)!;
    expect(last.event).toBe('error');
    expect(last.data).toContain(`longer than ${MAX_RUN_BYTES} characters`);
    await asked.closed;
    expect(asked.closedEarly).toBe(true);
  });
});

describe('what a provider says', () => {
  const app = anApp({});
  const saying: [string, string][] = [
    ['nasty', NASTY],
    ...[
      'split',
      'sse-crlf',
      'sse-cr',
      'sse-bom',
      'sse-comments',
      'sse-multiline',
      'finish-with-content',
      'done-then-late-end',
      'finish-without-done',
    ].map((model): [string, string] => [model, TEXT]),
  ];

  describe.each(CONTENT)('is exactly what the client gets: %s', (_name, ask, contentOf) => {
    it.each(PROVIDERS)('of %s, however it is framed', async (provider) => {
      for (const [model, expected] of saying) {
        const call = ask(app, `${provider}/${model}`);
        expect(await call.ended).toBe('complete');
        expect([model, contentOf(call)]).toEqual([model, expected]);
      }
    });

    it.each(PROVIDERS)('of %s, 4 MB at once', async (provider) => {
      const call = ask(app, `${provider}/big`);
      expect(await call.ended).toBe('complete');
      // Not by a matcher, which would show the difference of 4 MB.
      expect(contentOf(call) === bigText()).toBe(true);
    });
  });

  it.each(PROVIDERS)('is what the client gets as bare text: %s', async (provider) => {
    const text = asText(app, `${provider}/big`);
    const plain = asPlain(app, `${provider}/big`);
    const nasty = asPlain(app, `${provider}/nasty`);
    await Promise.all([text.ended, plain.ended, nasty.ended]);

    const said = eventsOf(text).filter(({ event }) => event === 'message');
    expect(said.map(({ data }) => data).join('') === bigText()).toBe(true);
    expect(plain.text() === bigText()).toBe(true);
    // UTF-8 has no lone surrogates, nor a character that is cut in two.
    expect(nasty.bytes()).toEqual(Buffer.from(nasty.text()));
    expect(nasty.text().startsWith(NASTY.slice(0, NASTY.indexOf('\ud83d')))).toBe(true);
  });
});

const PIECE = bigText(16_384);

/** About 10 MB as fast as the socket takes them: more than the kernel's buffers hold. */
const BULK_PIECES = 640;

async function bulk(exchange: Exchange) {
  exchange.role();
  await exchange.tokens(Array.from({ length: BULK_PIECES }, () => PIECE));
}

/** The heap after a collection, in bytes. */
function heapUsed(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('a reader that reads nothing', () => {
  const READERS = 20;
  const MEGABYTE = 2 ** 20;
  const app = anApp({});

  it.each([
    ['json', '?format=json'],
    ['text', '?format=text'],
    ['plain', '?format=plain'],
    ['openai', '?format=openai'],
  ])('costs at most 1 MB beside the log, and stalls nobody: %s', async (_name, query) => {
    upstream.script('bulk', async (exchange) => {
      await bulk(exchange);
      exchange.complete();
    });
    const first = stream(`${query}&on_disconnect=continue`)(app, 'bulk');
    const path = `/v1/runs/${String((await first.headers)['sluice-run-id'])}/events${query}`;
    expect(await first.ended).toBe('complete');
    const whole = first.bytes().length;
    const before = heapUsed();

    const stalled = Array.from({ length: READERS }, () => open({ port: app.port, path }));
    await Promise.all(stalled.map((call) => call.pause()));
    const other = open({ port: app.port, path });
    expect(await other.ended).toBe('complete');
    expect(other.bytes().length).toBe(whole);
    const own = 2 * whole + other.text().length;

    expect(heapUsed() - before - own).toBeLessThan(READERS * MEGABYTE);
    for (const call of stalled) call.destroy();
  });
});

describe('a reader that is slow', () => {
  const WRITE_TIMEOUT_MS = 1000;
  const app = anApp({ WRITE_TIMEOUT_MS });
  const READ_BYTES = 16_384;
  const READ_EVERY_MS = 10;

  const connections = () =>
    new Promise<number>((resolve, reject) => {
      (app.app.getHttpServer() as Server).getConnections((error, count) =>
        error ? reject(error) : resolve(count),
      );
    });

  it.each([
    ['json', asJson],
    ['plain', asPlain],
  ])('is dropped, with its upstream, when it reads nothing at all: %s', async (_name, ask) => {
    upstream.script('bulk', bulk);
    const call = ask(app, 'bulk');
    const asked = await upstream.next();
    await call.pause();
    const stalledAt = performance.now();

    await asked.closed;

    expect(asked.closedEarly).toBe(true);
    expect(performance.now() - stalledAt).toBeGreaterThan(WRITE_TIMEOUT_MS - 50);
    // Node counts what the kernel took within the time as reading.
    expect(performance.now() - stalledAt).toBeLessThan(4 * WRITE_TIMEOUT_MS);
    await eventually(async () => expect(await connections()).toBe(0));
    await call.resume();
    expect(['truncated', 'reset']).toContain(await call.ended);
  });

  it('is dropped when it reads nothing of an answer that is not streamed', async () => {
    upstream.script('bulk', async (exchange) => {
      await bulk(exchange);
      exchange.complete();
    });
    const body = { model: 'bulk', stream: false, messages };
    const call = open({ port: app.port, method: 'POST', path: '/v1/chat/completions', body });
    await call.status;
    await call.pause();
    await eventually(async () => expect(await connections()).toBe(0), 4 * WRITE_TIMEOUT_MS);
    await call.resume();
    expect(['truncated', 'reset']).toContain(await call.ended);
  });

  it('is not dropped for an answer behind its stream that is yet to come', async () => {
    upstream.script('late', async (exchange) => {
      await delay(1.5 * WRITE_TIMEOUT_MS);
      exchange.role();
      await exchange.tokens(TEXT_TOKENS);
      exchange.complete();
    });
    const socket = connect(app.port, '127.0.0.1');
    const post = (model: string, isStream: boolean, connection: string) => {
      const body = JSON.stringify({ model, stream: isStream, messages });
      const head = [
        'POST /v1/chat/completions HTTP/1.1',
        'Host: localhost',
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
        `Connection: ${connection}`,
      ];
      socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
    };

    post('text', true, 'keep-alive');
    post('late', false, 'close');

    const answers = await read(socket);
    expect(answers).toContain('data: [DONE]');
    expect(answers).toContain('"object":"chat.completion"');
  });

  it('is dropped while another viewer of its provider gets everything', async () => {
    upstream.script('bulk', bulk);
    const stalled = asJson(app, 'bulk');
    await stalled.pause();
    const other = asJson(app, `flood_tokens-${TEXT_TOKENS.length * 1000}`);

    expect(await other.ended).toBe('complete');

    expect(eventsOf(other).at(-1)?.event).toBe('done');
    stalled.destroy();
  });

  /** Reads an answer's body in small pieces, at a pace that a busy machine does not change. */
  async function readSlowly(query: string): Promise<string> {
    const sent = request(`${app.url}/v1/chat/stream${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      agent: false,
    }).end(JSON.stringify({ model: 'bulk', messages }));
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    const pieces: Buffer[] = [];
    let readAt = performance.now();
    const reading = setInterval(() => {
      for (; readAt < performance.now(); readAt += READ_EVERY_MS) {
        const piece = (response.read(READ_BYTES) ?? response.read()) as Buffer | null;
        if (piece) pieces.push(piece);
      }
    }, READ_EVERY_MS);
    await once(response, 'end').finally(() => clearInterval(reading));
    return Buffer.concat(pieces).toString();
  }

  it('but steady is never dropped and gets every byte', async () => {
    upstream.script('bulk', async (exchange) => {
      await bulk(exchange);
      exchange.complete();
    });
    const startedAt = performance.now();

    const answers = await Promise.all(['', '?format=plain'].map(readSlowly));

    expect(performance.now() - startedAt).toBeGreaterThan(3 * WRITE_TIMEOUT_MS);
    const counts = answers.map((answer) => answer.split(PIECE).length - 1);
    expect(counts).toEqual([BULK_PIECES, BULK_PIECES]);
    expect(answers[0]).toMatch(/\nevent: done\nid: \S+\ndata: .*\n\n$/);
    expect(answers[1]!.length).toBe(BULK_PIECES * PIECE.length);
  });
});
