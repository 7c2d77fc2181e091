import { ConsoleLogger } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { open, type HttpCall } from '../support/http.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

const OPENAI_KEY = 'sk-upstream-secret-1234';
const AZURE_KEY = 'azure-upstream-secret-5678';
const MAX_LINE = 300_000;

type Provider = 'openai' | 'azure' | 'ollama' | 'demo';
const UPSTREAMS: Provider[] = ['openai', 'azure', 'ollama'];

/** Every form in which a client can ask for an answer. */
const DIALECTS = {
  json: { path: '/v1/chat/stream' },
  text: { path: '/v1/chat/stream?format=text' },
  plain: { path: '/v1/chat/stream?format=plain' },
  'format=openai': { path: '/v1/chat/stream?format=openai' },
  chunks: { path: '/v1/chat/completions', stream: true },
  completion: { path: '/v1/chat/completions', stream: false },
};
type Dialect = keyof typeof DIALECTS;

/** Sluice's own words for the failures that say nothing of the provider's. */
const TYPES = {
  provider_auth: 'server_error',
  provider_unavailable: 'server_error',
  provider_truncated: 'server_error',
  provider_malformed: 'server_error',
  provider_error: 'server_error',
  provider_rejected: 'invalid_request_error',
  provider_rate_limited: 'rate_limit_error',
  timeout_first_token: 'timeout_error',
  model_not_found: 'invalid_request_error',
};
type Code = keyof typeof TYPES;

interface ErrorBody {
  message: string;
  type: string;
  param: string | null;
  code: string;
}

const NO_STREAM = 'The provider answered with something else than a stream.';
const ENDED_EARLY = 'The provider ended its answer early.';
const RESET = 'The provider could not be reached (ECONNRESET).';
const CREDENTIALS = "The provider refused this server's credentials.";
const RATE_LIMIT = "The provider's rate limit is reached.";

let upstream: Upstream;
let server: RunningApp;
const logged = jest.spyOn(ConsoleLogger.prototype, 'error');

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OPENAI_API_KEY: OPENAI_KEY,
    AZURE_OPENAI_ENDPOINT: upstream.url,
    AZURE_OPENAI_API_KEY: AZURE_KEY,
    AZURE_OPENAI_API_VERSION: '2024-10-21',
    AZURE_OPENAI_DEPLOYMENT: 'text',
    OLLAMA_BASE_URL: upstream.url,
    DEMO: 'on',
    MAX_RUN_BYTES: MAX_LINE,
    // Each failure as it is: what is made of it beyond that is attempts.test.ts's.
    MAX_ATTEMPTS: 1,
    BREAKER_FAILURES: 0,
  });
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

function ask(dialect: Dialect, model: string, { port } = server): HttpCall {
  const { path, ...rest } = DIALECTS[dialect];
  return open({
    port,
    path,
    body: { model, messages: [{ role: 'user', content: 'hi' }], ...rest },
  });
}

/** What the client got of it: all of it, with what differs from run to run made the same. */
async function received(call: HttpCall) {
  const ended = await call.ended;
  const headers = await call.headers;
  const runId = String(headers['sluice-run-id']);
  const body = call
    .text()
    .replaceAll(runId, 'RUN')
    .replaceAll(/"created":\d+/g, '"created":0')
    .replaceAll(/chatcmpl-[\w-]+/g, 'ID');
  return { status: await call.status, type: headers['content-type'], headers, body, ended };
}

async function inAllDialects(model: string, app?: RunningApp) {
  const dialects = Object.keys(DIALECTS) as Dialect[];
  const calls = dialects.map((dialect) => received(ask(dialect, model, app)));
  const answers = await Promise.all(calls);
  return dialects.map((dialect, index) => ({ dialect, ...answers[index]! }));
}

describe('a failure before the first token', () => {
  const EVERY = Object.keys(DIALECTS);

  async function expectRefusal(
    model: string,
    expected: { status: number; error: ErrorBody; retry: boolean; wait?: number },
    app?: RunningApp,
  ) {
    const { status, error, retry, wait } = expected;
    const answers = await inAllDialects(model, app);
    const waits = wait === undefined ? [] : [String(Math.ceil(wait / 1000)), String(wait)];
    expect(
      answers.map(({ dialect, status, type, body, ended, headers }) => ({
        ...{ dialect, status, type, body, ended },
        retry: headers['x-should-retry'],
        waits: [headers['retry-after'], headers['retry-after-ms']].filter(Boolean),
      })),
    ).toEqual(
      EVERY.map((dialect) => ({
        dialect,
        status,
        type: 'application/json; charset=utf-8',
        body: JSON.stringify({ error }),
        ended: 'complete',
        retry: String(retry),
        waits,
      })),
    );
  }

  const own = (code: Code, message: string, param: string | null = null): ErrorBody => ({
    message,
    type: TYPES[code],
    param,
    code,
  });

  describe.each(UPSTREAMS)('at %s keeps its status in every dialect, in words of our own', (at) => {
    it.each<[string, number, Code, string, { retry: boolean; wait?: number }]>([
      ['status-401', 502, 'provider_auth', CREDENTIALS, { retry: false }],
      ['status-402', 502, 'provider_auth', CREDENTIALS, { retry: false }],
      ['status-403', 502, 'provider_auth', CREDENTIALS, { retry: false }],
      ['status-401-html', 502, 'provider_auth', CREDENTIALS, { retry: false }],
      ['status-408', 504, 'timeout_first_token', 'The provider timed out.', { retry: false }],
      ['status-429', 429, 'provider_rate_limited', RATE_LIMIT, { retry: true, wait: 7000 }],
      ['status-429-html', 429, 'provider_rate_limited', RATE_LIMIT, { retry: true, wait: 7000 }],
      [
        'status-429_retryafter-60',
        429,
        'provider_rate_limited',
        RATE_LIMIT,
        { retry: true, wait: 60_000 },
      ],
      [
        'status-429_retryafter-3600',
        429,
        'provider_rate_limited',
        RATE_LIMIT,
        { retry: false, wait: 3_600_000 },
      ],
      ...[418, 500, 502, 503, 504, 529].flatMap((status) =>
        ['', '-html', '-empty'].map((body): [string, number, Code, string, { retry: true }] => [
          `status-${status}${body}`,
          502,
          'provider_unavailable',
          `The provider answered with status ${status}.`,
          { retry: true },
        ]),
      ),
      [
        'status-503_retryafter-3',
        502,
        'provider_unavailable',
        'The provider answered with status 503.',
        { retry: true, wait: 3000 },
      ],
      [
        'status-408_retryafter-3',
        504,
        'timeout_first_token',
        'The provider timed out.',
        { retry: false, wait: 3000 },
      ],
      [
        'status-409-html_retryafter-3',
        409,
        'provider_rejected',
        'The provider refused the request with status 409.',
        { retry: false, wait: 3000 },
      ],
      ...[400, 404, 409, 413, 422].map(
        (status): [string, number, Code, string, { retry: false }] => [
          `status-${status}-html`,
          status,
          'provider_rejected',
          `The provider refused the request with status ${status}.`,
          { retry: false },
        ],
      ),
      [
        'redirect',
        502,
        'provider_unavailable',
        'The provider answered with status 302.',
        { retry: true },
      ],
      ['ok-json', 502, 'provider_unavailable', NO_STREAM, { retry: true }],
      ['ok-html', 502, 'provider_unavailable', NO_STREAM, { retry: true }],
      ['ok-wrong-type', 502, 'provider_unavailable', NO_STREAM, { retry: true }],
      ['ok-empty', 502, 'provider_truncated', ENDED_EARLY, { retry: true }],
      ['rst-first', 502, 'provider_unavailable', RESET, { retry: true }],
      ['fin-first', 502, 'provider_unavailable', RESET, { retry: true }],
      ['rst-mid_after-0', 502, 'provider_truncated', ENDED_EARLY, { retry: true }],
      ['fin-mid_after-0', 502, 'provider_truncated', ENDED_EARLY, { retry: true }],
      ['eof-mid_after-0', 502, 'provider_truncated', ENDED_EARLY, { retry: true }],
      ['cut-line_after-0', 502, 'provider_truncated', ENDED_EARLY, { retry: true }],
      ['done-without-finish_after-0', 502, 'provider_truncated', ENDED_EARLY, { retry: true }],
      [
        'endless-line_after-0',
        502,
        'provider_malformed',
        `The provider sent a line of over ${MAX_LINE} characters.`,
        { retry: true },
      ],
    ])('%s: %i %s', (play, status, code, message, { retry, wait }) =>
      expectRefusal(`${at}/${play}`, { status, error: own(code, message), retry, wait }),
    );

    it('gives on a wait in milliseconds, and rounds its seconds up', async () => {
      upstream.script('wait-ms', (x) =>
        x.error(429, { message: 'Slow down.' }, { 'retry-after-ms': '1500', 'retry-after': '9' }),
      );
      const error = own('provider_rate_limited', RATE_LIMIT);
      await expectRefusal(`${at}/wait-ms`, { status: 429, error, retry: true, wait: 1500 });
    });
  });

  describe("of a request that the provider rejects keeps the provider's status and words", () => {
    const words = (message: string, param: string | null, code: string): ErrorBody => ({
      message,
      type: 'invalid_request_error',
      param,
      code,
    });

    it.each([
      [
        400,
        words("Invalid 'temperature': must be at most 2.", 'temperature', 'invalid_value'),
        'invalid_value',
      ],
      [
        404,
        words('The model `status-404` does not exist', null, 'model_not_found'),
        'DeploymentNotFound',
      ],
      [409, words('The request conflicts with another one.', null, 'conflict'), '409'],
      [413, words('The request is too large.', 'messages', 'request_too_large'), '413'],
      [
        422,
        words('messages.0.role: not a role.', 'messages.0.role', 'unprocessable_entity'),
        'unprocessable_entity',
      ],
    ])('%i', async (status, error, azureCode) => {
      const model = `status-${status}`;
      const refusal = { status, retry: false };
      await expectRefusal(`openai/${model}`, { ...refusal, error });
      // Where Azure's gateway answers itself it has a code and a message only.
      const param = status === 400 || status === 422 ? error.param : null;
      await expectRefusal(`azure/${model}`, {
        ...refusal,
        error: { ...error, param, code: azureCode },
      });
      await expectRefusal(`ollama/${model}`, {
        ...refusal,
        error: own('provider_rejected', error.message),
      });
    });
  });

  it('keeps the words of a provider that rejects a request in a shape of its own', async () => {
    const said = "Invalid 'temperature': must be at most 2.";
    const fields = { type: 'invalid_request_error', param: 'temperature', code: 'invalid_value' };
    for (const at of UPSTREAMS) {
      const refusal = { status: 400, retry: false };
      const error = own('provider_rejected', said);
      await expectRefusal(`${at}/status-400-flat`, { ...refusal, error: { ...error, ...fields } });
      await expectRefusal(`${at}/status-400-string`, { ...refusal, error });
      await expectRefusal(`${at}/status-400-detail`, { ...refusal, error });
    }
  });

  it('names the place where the stream broke at its first chunk', async () => {
    const malformed = 'The provider sent a chunk that is not a JSON object.';
    const line = 'The provider sent a line that is no chat answer.';
    const overloaded = own('provider_error', 'The engine is overloaded.');
    for (const at of ['openai', 'azure']) {
      await expectRefusal(`${at}/malformed_after-0`, {
        status: 502,
        error: own('provider_malformed', malformed),
        retry: true,
      });
      await expectRefusal(`${at}/error-first`, {
        status: 502,
        error: overloaded,
        retry: true,
      });
    }
    await expectRefusal('ollama/malformed_after-0', {
      status: 502,
      error: own('provider_malformed', line),
      retry: true,
    });
    await expectRefusal('ollama/error-first', { status: 502, error: overloaded, retry: true });
  });

  it('repeats no key of ours, even where the provider does', async () => {
    for (const at of UPSTREAMS) {
      for (const status of [401, 402, 403]) {
        for (const { body, headers } of await inAllDialects(`${at}/status-${status}`)) {
          const all = body + JSON.stringify(headers);
          expect(all).not.toMatch(/secret|Incorrect API key|Insufficient balance/);
        }
      }
    }
    const said = upstream.requests.find(({ model }) => model === 'status-401')!;
    expect(said.headers.authorization).toBe(`Bearer ${OPENAI_KEY}`);
  });

  it('can be rehearsed with the demo provider', async () => {
    await expectRefusal('demo/error', {
      status: 502,
      error: own('provider_unavailable', 'demo/error is never available.'),
      retry: true,
    });
    await expectRefusal('demo/rate-limit', {
      status: 429,
      error: own('provider_rate_limited', 'demo/rate-limit is always at its limit.'),
      retry: true,
      wait: 7000,
    });
    const names =
      'answer echo slow-start slow stall error error-mid truncate rate-limit reasoning tools long';
    const models = names.split(' ').map((name) => `demo/${name}`);
    await expectRefusal('demo/nothing', {
      status: 404,
      error: own(
        'model_not_found',
        `There is no model demo/nothing. There are ${models.join(', ')}.`,
        'model',
      ),
      retry: false,
    });
  });

  describe('where no provider can be reached', () => {
    /** A port that was free a moment ago. */
    async function closedPort(): Promise<number> {
      const gone = await startUpstream();
      const { port } = gone;
      await gone.close();
      return port;
    }

    it.each([
      ['connection refused', async () => `http://127.0.0.1:${await closedPort()}`, 'ECONNREFUSED'],
      // A label this long is no name: nothing is asked of the network.
      ['no such name', () => `http://${'a'.repeat(64)}.invalid`, 'ENOTFOUND'],
      ['no TLS', () => `https://127.0.0.1:${upstream.port}`, 'E[A-Z_]+'],
    ])('%s is told within the status', async (_, address, reason) => {
      const url = await address();
      const app = await startApp({
        MAX_ATTEMPTS: 1,
        BREAKER_FAILURES: 0,
        OPENAI_BASE_URL: `${url}/v1`,
        AZURE_OPENAI_ENDPOINT: url,
        AZURE_OPENAI_API_KEY: AZURE_KEY,
        AZURE_OPENAI_DEPLOYMENT: 'text',
        OLLAMA_BASE_URL: url,
      });
      try {
        for (const at of UPSTREAMS) {
          for (const { status, headers, body } of await inAllDialects(`${at}/text`, app)) {
            expect(status).toBe(502);
            expect(headers['x-should-retry']).toBe('true');
            const { error } = JSON.parse(body) as { error: ErrorBody };
            expect(error).toEqual(own('provider_unavailable', error.message));
            expect(error.message).toMatch(
              RegExp(`^The provider could not be reached \\(${reason}\\)\\.$`),
            );
          }
        }
      } finally {
        await app.close();
      }
    });
  });
});

interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  source: 'provider' | 'estimated';
}

/** How a run ends: in the words of the native dialects and, for a failure, in OpenAI's. */
type End =
  | { error: { code: Code; message: string; retryable: boolean; usage: Usage }; body: ErrorBody }
  | { finish: 'stop'; usage: Usage };

describe('a stream', () => {
  const TOKENS = ['Hello', ', ', 'Grüße'];
  const SSE = 'text/event-stream; charset=utf-8';

  /** What Ollama counts with its last line. */
  const COUNTED: Usage = usageOf(9, 3, 'provider');
  const ESTIMATED: Usage = usageOf(7, 3, 'estimated');

  function usageOf(prompt: number, completion: number, source: Usage['source']): Usage {
    const total_tokens = prompt + completion;
    return { prompt_tokens: prompt, completion_tokens: completion, total_tokens, source };
  }

  /** The bytes of each dialect for an answer of `tokens` with this end. */
  function expected(dialect: Dialect, model: string, tokens: string[], end: End) {
    switch (dialect) {
      case 'json':
        return {
          status: 200,
          type: 'text/event-stream',
          body: jsonEvents(model, tokens, end),
          ended: 'complete',
        };
      case 'text':
        return {
          status: 200,
          type: 'text/event-stream',
          body: textEvents(tokens, end),
          ended: 'complete',
        };
      case 'plain':
        return {
          status: 200,
          type: 'text/plain; charset=utf-8',
          body: tokens.join(''),
          // Without the final HTTP chunk.
          ended: 'error' in end ? 'truncated' : 'complete',
        };
      case 'format=openai':
      case 'chunks': {
        const last = 'error' in end ? JSON.stringify({ error: end.body }) : '[DONE]';
        const chunks = chunksOf(model, tokens, end, dialect === 'format=openai');
        const body = [...chunks, last].map((data) => `data: ${data}\n\n`).join('');
        return { status: 200, type: SSE, body, ended: 'complete' };
      }
      case 'completion': {
        const failed = 'error' in end;
        const body = failed ? { error: end.body } : completionOf(model, tokens, end.usage);
        return {
          status: failed ? 502 : 200,
          type: 'application/json; charset=utf-8',
          body: JSON.stringify(body),
          ended: 'complete',
        };
      }
    }
  }

  function jsonEvents(model: string, tokens: string[], end: End) {
    const deltas = tokens.map(
      (content, index) => `id: RUN:${index + 2}\ndata: ${JSON.stringify({ content })}\n\n`,
    );
    const [type, data] =
      'error' in end
        ? ['error', end.error]
        : ['done', { finish_reason: end.finish, model, usage: end.usage }];
    return `
event: start
id: RUN:1
retry: 1000
data: {"id":"RUN","model":"${model}","created":0}

${deltas.join('')}event: ${type}
id: RUN:${tokens.length + 2}
data: ${JSON.stringify(data)}

`;
  }

  function textEvents(tokens: string[], end: End) {
    const deltas = tokens.map((token, index) => `id: RUN:${index + 2}\ndata: ${token}\n\n`);
    const [type, data] = 'error' in end ? ['error', JSON.stringify(end.error)] : ['done', '[DONE]'];
    return `
${deltas.join('')}event: ${type}
id: RUN:${tokens.length + 2}
data: ${data}

`;
  }

  /** OpenAI's and Azure's own chunks as they were sent; Ollama's and the demo's as Sluice makes them. */
  function chunksOf(target: string, tokens: string[], end: End, includeUsage: boolean) {
    const [provider, model] = target.split('/') as [Provider, string];
    const isOwn = provider === 'openai' || provider === 'azure';
    const head = { id: 'ID', object: 'chat.completion.chunk', created: 0, model };
    const chunk = (delta: object, finish_reason: string | null = null) =>
      isOwn
        ? {
            ...head,
            system_fingerprint: 'fp_upstream',
            choices: [{ index: 0, delta, logprobs: null, finish_reason }],
            usage: null,
          }
        : { ...head, choices: [{ index: 0, delta, finish_reason }] };
    const role = { role: 'assistant', content: '', ...(isOwn && { refusal: null }) };
    const chunks: object[] = [chunk(role), ...tokens.map((content) => chunk({ content }))];
    if ('finish' in end) chunks.push(chunk({}, end.finish));
    if ('finish' in end && includeUsage) {
      chunks.push({ ...head, choices: [], usage: countsOf(end.usage) });
    }
    return chunks.map((value) => JSON.stringify(value));
  }

  function completionOf(target: string, tokens: string[], usage: Usage) {
    const [provider, model] = target.split('/') as [Provider, string];
    const isOwn = provider === 'openai' || provider === 'azure';
    const message = { role: 'assistant', content: tokens.join(''), refusal: null };
    return {
      ...{ id: 'ID', object: 'chat.completion', created: 0, model },
      ...(isOwn && { system_fingerprint: 'fp_upstream' }),
      choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
      usage: countsOf(usage),
    };
  }

  function countsOf({ source: _source, ...counts }: Usage) {
    return counts;
  }

  async function expectBytes(model: string, tokens: string[], end: End) {
    for (const { dialect, headers, ...answer } of await inAllDialects(model)) {
      const bytes = expected(dialect, model, tokens, end);
      if (dialect !== 'completion') {
        expect({ dialect, ...answer }).toEqual({ dialect, ...bytes });
        continue;
      }
      // The order of a whole answer's fields means nothing.
      const parsed = { ...answer, body: JSON.parse(answer.body) as unknown };
      expect(parsed).toEqual({ ...bytes, body: JSON.parse(bytes.body) as unknown });
      const retry = 'error' in end ? String(end.error.retryable) : undefined;
      expect(headers['x-should-retry']).toBe(retry);
    }
  }

  function failed(code: Code, message: string, { usage = ESTIMATED }: { usage?: Usage } = {}): End {
    return {
      error: { code, message, retryable: true, usage },
      body: { message, type: TYPES[code], param: null, code },
    };
  }

  describe.each(UPSTREAMS)('of %s that breaks ends in exactly one error', (at) => {
    it.each<[string, Code, string]>([
      ['rst-mid', 'provider_truncated', ENDED_EARLY],
      ['fin-mid', 'provider_truncated', ENDED_EARLY],
      ['eof-mid', 'provider_truncated', ENDED_EARLY],
      ['cut-line', 'provider_truncated', ENDED_EARLY],
      ['done-without-finish', 'provider_truncated', ENDED_EARLY],
      [
        'endless-line',
        'provider_malformed',
        `The provider sent a line of over ${MAX_LINE} characters.`,
      ],
    ])('%s: %s', (play, code, message) =>
      expectBytes(`${at}/${play}`, TOKENS, failed(code, message)),
    );

    it('malformed: provider_malformed', () => {
      const what =
        at === 'ollama' ? 'line that is no chat answer' : 'chunk that is not a JSON object';
      const message = `The provider sent a ${what}.`;
      return expectBytes(`${at}/malformed`, TOKENS, failed('provider_malformed', message));
    });

    it("error-mid: provider_error, with the provider's words and code", () => {
      const end = failed('provider_error', 'The engine is overloaded.');
      return expectBytes(`${at}/error-mid`, TOKENS, end);
    });
  });

  it.each(['openai', 'azure'])('of %s that is reset between finish and [DONE] has no end', (at) =>
    expectBytes(
      `${at}/finish-then-rst_tokens-3`,
      TOKENS,
      failed('provider_truncated', ENDED_EARLY),
    ),
  );

  it.each(['openai', 'azure'])('of %s whose body ends well needs no [DONE]', (at) =>
    expectBytes(`${at}/finish-without-done_tokens-3`, TOKENS, { finish: 'stop', usage: ESTIMATED }),
  );

  it.each(['finish-without-done', 'finish-then-rst', 'finish-then-hang'])(
    'of ollama is complete with done:true, whatever follows (%s)',
    (play) => expectBytes(`ollama/${play}_tokens-3`, TOKENS, { finish: 'stop', usage: COUNTED }),
  );

  it.each(['openai', 'azure'])(
    'of %s that hangs after its finish reason is done after two seconds, and closed',
    async (at) => {
      const model = 'finish-then-hang_tokens-3';
      upstream.reset();
      const startedAt = performance.now();

      await expectBytes(`${at}/${model}`, TOKENS, { finish: 'stop', usage: ESTIMATED });

      const seconds = (performance.now() - startedAt) / 1000;
      expect(seconds).toBeGreaterThan(1.9);
      expect(seconds).toBeLessThan(4);
      await Promise.all(upstream.requests.map(({ closed }) => closed));
      expect(upstream.closedEarly).toBe(Object.keys(DIALECTS).length);
    },
  );

  it('of the demo provider rehearses the same ends', async () => {
    const text =
      'This is the demo provider. It sends tokens as a model would, and no model is paid for them.';
    const tokens = text.match(/\s*\S{1,12}/g)!;
    const usage = usageOf(7, 22, 'estimated');
    const message = 'demo/error-mid fails in mid-answer.';
    await Promise.all([
      expectBytes('demo/error-mid', tokens, failed('provider_error', message, { usage })),
      expectBytes('demo/truncate', tokens, failed('provider_truncated', ENDED_EARLY, { usage })),
    ]);
  });
});

it('logs no failure of a provider as one of its own', () => {
  expect(logged.mock.calls).toEqual([]);
});
