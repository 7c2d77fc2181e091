import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { DEMO_MODELS } from '../../src/providers/demo/demo-models.js';
import { startApp, type RunningApp } from '../support/app.js';
import { open, type HttpCall, type OpenOptions } from '../support/http.js';
import { answerOf, cancel, runIdOf, stateOf, view } from '../support/runs.js';
import {
  NASTY,
  PROMPT_TOKENS,
  REASONING,
  REFUSAL,
  TEXT,
  TEXT_TOKENS,
  TOOL_CALLS,
  startUpstream,
  type Upstream,
} from '../support/upstream/index.js';

/** Of the one server that is asked about silences. */
const HEARTBEAT_MS = 150;

interface Line {
  model: string;
  created_at: string;
  message?: { role: string; content: string; thinking?: string; tool_calls?: ToolCall[] };
  response?: string;
  done?: boolean;
  done_reason?: string;
  error?: string;
  [field: string]: unknown;
}

interface ToolCall {
  function: { name: string; arguments: object };
}

let upstream: Upstream;
let server: RunningApp;
let beating: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  const env = {
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OPENAI_API_KEY: 'sk-test',
    OLLAMA_BASE_URL: upstream.url,
    DEMO: 'on',
  };
  server = await startApp(env);
  beating = await startApp({ ...env, HEARTBEAT_MS });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await beating.close();
  await upstream.close();
});

/** As Ollama's own examples with curl do: without a word of JSON. */
function post(path: string, body: object, options: Partial<OpenOptions> = {}): HttpCall {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...options.headers };
  return open({ port: server.port, path, body: JSON.stringify(body), ...options, headers });
}

function chat(model: string, body: object = {}, { port } = server): HttpCall {
  const messages = [{ role: 'user', content: 'hi' }];
  return post('/api/chat', { model, messages, ...body }, { port });
}

/** Reads as the tutorials do: an object a line, to the one with `done`. */
async function linesOf(call: HttpCall): Promise<Line[]> {
  expect(await call.ended).toBe('complete');
  expect(call.text().endsWith('\n')).toBe(true);
  return call
    .text()
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

function textOf(lines: Line[]): string {
  return lines.map(({ message, response }) => message?.content ?? response ?? '').join('');
}

describe.each(['openai', 'ollama'])('a chat with a model of %s', (at) => {
  it('streams a message a line and ends with counts and durations', async () => {
    const call = chat(`${at}/text`);
    const lines = await linesOf(call);

    expect(await call.headers).toMatchObject({
      'content-type': 'application/x-ndjson',
      'sluice-run-id': expect.stringMatching(/^run_/),
      'cache-control': 'no-cache, no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    expect(textOf(lines)).toBe(TEXT);
    expect(lines.map(({ done }) => done)).toEqual([...TEXT_TOKENS.map(() => false), true]);
    expect(lines.at(-1)).toMatchObject({
      model: `${at}/text`,
      message: { role: 'assistant', content: '' },
      done_reason: 'stop',
      prompt_eval_count: PROMPT_TOKENS,
      eval_count: TEXT_TOKENS.length,
    });
    const { total_duration, load_duration, prompt_eval_duration, eval_duration } = lines.at(-1)!;
    const parts = [load_duration, prompt_eval_duration, eval_duration].map(Number);
    expect(Number(total_duration)).toBeLessThan(5e9);
    expect(parts.every((part) => part >= 0 && part <= Number(total_duration))).toBe(true);
  });

  it('answers at once without stream', async () => {
    const { body, headers } = await answerOf<Line>(chat(`${at}/text`, { stream: false }));
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(body).toMatchObject({
      model: `${at}/text`,
      message: { role: 'assistant', content: TEXT },
      done: true,
      done_reason: 'stop',
      eval_count: TEXT_TOKENS.length,
    });
  });

  it('keeps every character', async () => {
    expect(textOf(await linesOf(chat(`${at}/nasty`)))).toBe(NASTY);
    const { body } = await answerOf<Line>(chat(`${at}/nasty`, { stream: false }));
    expect(body.message?.content).toBe(NASTY);
  });

  it('has thinking apart and refusals in the content', async () => {
    const lines = await linesOf(chat(`${at}/reasoning`));
    expect(lines.map(({ message }) => message?.thinking ?? '').join('')).toBe(REASONING);
    expect(textOf(lines)).toBe(TEXT);
    expect(textOf(await linesOf(chat(`${at}/refusal`)))).toBe(REFUSAL);
  });

  it('has tool calls whole, streamed and not', async () => {
    const expected = TOOL_CALLS.map(({ name, arguments: json }) => ({
      name,
      arguments: JSON.parse(json) as object,
    }));
    const lines = await linesOf(chat(`${at}/tools`));
    const calls = lines.flatMap(({ message }) => message?.tool_calls ?? []);
    expect(calls.map(({ function: called }) => called)).toMatchObject(expected);
    expect(lines.at(-1)).toMatchObject({ done: true, done_reason: 'stop' });

    const { body } = await answerOf<Line>(chat(`${at}/tools`, { stream: false }));
    expect(body.message?.tool_calls?.map((call) => call.function)).toMatchObject(expected);
  });

  it('says that an answer was cut for its length', async () => {
    expect((await linesOf(chat(`${at}/length`))).at(-1)).toMatchObject({ done_reason: 'length' });
  });

  it.each(['rst-mid', 'fin-mid', 'eof-mid', 'cut-line', 'malformed', 'error-mid'])(
    'ends in an error, and never in done, where upstream breaks: %s',
    async (play) => {
      const lines = await linesOf(chat(`${at}/${play}`));
      expect(textOf(lines)).toBe(TEXT_TOKENS.slice(0, 3).join(''));
      expect(lines.at(-1)).toEqual({ error: expect.any(String) });
      expect(lines.some(({ done }) => done)).toBe(false);

      const whole = await answerOf<Line>(chat(`${at}/${play}`, { stream: false }));
      expect(whole.status).toBe(502);
      expect(whole.body).toEqual({ error: expect.any(String) });
    },
  );

  it.each([
    ['status-429', 429],
    ['status-404', 404],
    ['status-401', 502],
    ['rst-first', 502],
    ['error-first', 502],
  ])('answers a failure before the first token with its status: %s, %d', async (play, status) => {
    const answer = await answerOf<Line>(chat(`${at}/${play}`));
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual({ error: expect.any(String) });
  });

  it('closes the upstream when its client leaves', async () => {
    for (const stream of [true, false]) {
      const call = chat(`${at}/stall`, { stream });
      const request = await upstream.next();
      if (stream) await call.until(TEXT_TOKENS[2]!);
      call.destroy();
      await request.closed;
      expect(request.closedEarly).toBe(true);
    }
  });

  it('breaks a silence with lines that any reader reads', async () => {
    let goOn = () => {};
    upstream.script('pause', async (x) => {
      x.text('before');
      await new Promise<void>((resolve) => (goOn = resolve));
      x.text('after');
      x.complete();
    });
    const call = chat(`${at}/pause`, {}, beating);
    await call.until(/(.*"content":"".*\n){2}/);
    goOn();
    const lines = await linesOf(call);
    const beats = lines.filter(({ message, done }) => !done && message?.content === '');
    expect(beats.length).toBeGreaterThanOrEqual(2);
    expect(beats[0]).toMatchObject({ message: { role: 'assistant', content: '' }, done: false });
    expect(textOf(lines)).toBe('beforeafter');
  });
});

it('breaks the silence of a long tool call too', async () => {
  upstream.script('long-call', async (x) => {
    x.role();
    const { id, name } = TOOL_CALLS[0]!;
    const piece = (call: object) =>
      x.chunk({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...call }] } }] });
    piece({ id, type: 'function', function: { name, arguments: '{"text":"' } });
    for (let pieces = 0; pieces < 20; pieces += 1) {
      await x.sleep(HEARTBEAT_MS / 5);
      piece({ function: { arguments: 'a' } });
    }
    piece({ function: { arguments: '"}' } });
    x.complete('tool_calls');
  });
  const startedAt = performance.now();
  const lines = await linesOf(chat('openai/long-call', {}, beating));
  const ms = performance.now() - startedAt;
  const quiet = lines.filter(({ message, done }) => !done && !message?.tool_calls);
  expect(quiet.length).toBeGreaterThanOrEqual(2);
  expect(quiet.length).toBeLessThanOrEqual(ms / HEARTBEAT_MS);
  expect(lines.at(-2)?.message?.tool_calls?.[0]?.function.arguments).toEqual({
    text: 'a'.repeat(20),
  });
});

it('tells a stop as an error', async () => {
  const call = chat('stall');
  await call.until(TEXT_TOKENS[2]!);
  await cancel(server.port, await runIdOf(call));
  expect((await linesOf(call)).at(-1)).toEqual({ error: 'The run was cancelled.' });

  const whole = chat('stall', { stream: false });
  await upstream.next();
  const request = await upstream.next();
  const { body } = await answerOf<{ data: { id: string }[] }>(
    open({ port: server.port, path: '/v1/runs?status=running' }),
  );
  await cancel(server.port, body.data[0]!.id);
  await request.closed;
  expect(await answerOf(whole)).toMatchObject({
    status: 409,
    body: { error: 'The run was cancelled.' },
  });
});

describe('what reaches the provider', () => {
  const options = { temperature: 0.5, num_predict: 9, num_ctx: 8192 };

  it("are another request's when they differ, by its idempotency key", async () => {
    const headers = { 'idempotency-key': 'once' };
    const messages = [{ role: 'user', content: 'hi' }];
    const statusWith = (num_ctx: number) =>
      post('/api/chat', { model: 'openai/text', messages, options: { num_ctx } }, { headers })
        .status;
    expect(await statusWith(2048)).toBe(200);
    expect(await statusWith(2048)).toBe(200);
    expect(await statusWith(4096)).toBe(422);
  });

  it('is an OpenAI request where the provider speaks that', async () => {
    await linesOf(chat('openai/text', { options, think: true, keep_alive: '5m', format: 'json' }));
    const { body } = await upstream.next();
    expect(body).toEqual({
      model: 'text',
      messages: [{ role: 'user', content: 'hi' }],
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.5,
      max_tokens: 9,
      response_format: { type: 'json_object' },
    });
  });

  it('is what the client said where the provider is Ollama', async () => {
    const schema = { type: 'object', properties: {} };
    const messages = [
      { role: 'user', content: 'Weather?', images: ['iVBORw0KGgo='] },
      { role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: {} } }] },
      { role: 'tool', tool_name: 'f', content: '3 °C' },
    ];
    const asked = { messages, options, think: 'low', keep_alive: 0, format: schema };
    await linesOf(chat('ollama/text:latest', asked));
    const { body } = await upstream.next();
    expect(body).toMatchObject({ ...asked, model: 'text', options });
  });
});

describe('/api/generate', () => {
  it('streams what follows a prompt, and gives it whole', async () => {
    const body = { model: 'echo', prompt: 'Grüße, こんにちは', system: 'Be brief.' };
    const lines = await linesOf(post('/api/generate', body));
    expect(textOf(lines)).toBe(body.prompt);
    expect(lines.at(-1)).toMatchObject({ response: '', done: true, done_reason: 'stop' });
    expect((await upstream.next()).body.messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: body.prompt },
    ]);

    const whole = await answerOf<Line>(post('/api/generate', { ...body, stream: false }));
    expect(whole.body).toMatchObject({ model: 'echo', response: body.prompt, done: true });
  });

  it.each([
    ['/api/chat', { messages: [] }, { message: { role: 'assistant', content: '' } }],
    ['/api/generate', { prompt: '' }, { response: '' }],
  ])('loads and unloads a model without starting a run: %s', async (path, nothing, empty) => {
    const load = await answerOf<Line>(post(path, { model: 'demo/echo', ...nothing }));
    expect(load).toMatchObject({
      status: 200,
      body: { ...empty, done: true, done_reason: 'load' },
    });
    expect(load.headers).not.toHaveProperty('sluice-run-id');
    for (const keep_alive of [0, '0', '0s']) {
      const { body } = await answerOf<Line>(post(path, { model: 'demo/echo', keep_alive }));
      expect(body).toMatchObject({ model: 'demo/echo', done: true, done_reason: 'unload' });
    }
    const unknown = await answerOf<Line>(post(path, { model: 'demo/nothing', ...nothing }));
    expect(unknown).toMatchObject({
      status: 404,
      body: { error: "model 'demo/nothing' not found" },
    });
    expect(upstream.requests).toEqual([]);
  });
});

describe('what is known of the models', () => {
  const get = (path: string) => answerOf<Line>(open({ port: server.port, path }));

  it('lists the models that can be asked', async () => {
    const { body } = await get('/api/tags');
    const models = body.models as { name: string; model: string; digest: string }[];
    expect(models.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['openai/gpt-4o-mini', 'ollama/llama3.2', 'demo', 'demo/echo']),
    );
    expect(models[0]).toMatchObject({
      model: models[0]!.name,
      modified_at: expect.stringMatching(/^\d{4}-.*Z$/),
      size: 0,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      details: { family: 'openai', families: ['openai'] },
    });
  });

  it('tells what a model can do, under both of the names that clients use', async () => {
    for (const body of [{ model: 'demo/echo' }, { name: 'demo/echo:latest' }]) {
      const shown = await answerOf<Line>(post('/api/show', body));
      expect(shown.body).toMatchObject({
        details: { family: 'demo' },
        model_info: { 'general.architecture': 'demo' },
        capabilities: ['completion', 'tools', 'vision'],
      });
    }
    const unknown = await answerOf(post('/api/show', { model: 'demo/nothing' }));
    expect(unknown).toMatchObject({ status: 404, body: { error: expect.any(String) } });
  });

  it('is there, with a version that clients take, and nothing in memory', async () => {
    expect((await get('/')).body).toBe('Ollama is running');
    const head = open({ port: server.port, method: 'HEAD' });
    expect(await head.status).toBe(200);
    expect((await head.headers)['content-type']).toBe('text/plain; charset=utf-8');
    expect((await get('/api/ps')).body).toEqual({ models: [] });
    const [major, minor, patch] = String((await get('/api/version')).body.version).split('.');
    expect(Number(major) * 1e6 + Number(minor) * 1e3 + Number(patch)).toBeGreaterThan(6_004);
  });
});

describe('a request that is wrong', () => {
  it.each([
    ['not JSON', '{"model":', /JSON/],
    ['nothing', '', /object/],
    ['no messages', '{"messages":7}', /^messages: /],
    ['an unknown role', '{"messages":[{"role":"king","content":"hi"}]}', /^messages\.0\.role: /],
    ['a number for content', '{"messages":[{"role":"user","content":7}]}', /content: /],
    ['a broken model name', '{"model":"a\\nb"}', /^model: .*control/],
    ['a format that is none', '{"format":"xml","messages":[]}', /^format: /],
    ['a number to think', '{"think":5,"messages":[]}', /^think: expected true/],
    ['no time to keep it', '{"keep_alive":{},"messages":[]}', /^keep_alive: expected seconds/],
  ])('is refused as Ollama would, with a string: %s', async (_what, body, message) => {
    const answer = await answerOf<Line>(
      open({ port: server.port, path: '/api/chat', body, method: 'POST' }),
    );
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({ error: expect.stringMatching(message) });
  });

  it.each<Record<string, string>>([
    { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { host: 'evil.example' },
  ])(
    'is not taken from a page of another site, which needs no JSON to send it: %j',
    async (from) => {
      const body = { model: 'text', messages: [{ role: 'user', content: 'hi' }] };
      const headers = { 'content-type': 'text/plain', ...from };
      for (const path of ['/api/chat', '/api/generate', '/api/show']) {
        const answer = await answerOf<Line>(post(path, { ...body, prompt: 'hi' }, { headers }));
        expect(answer.status).toBe(403);
        expect(answer.body).toEqual({ error: expect.any(String) });
      }
      expect(upstream.requests).toEqual([]);
    },
  );

  it('is still refused elsewhere where it is not declared as JSON', async () => {
    const answer = await answerOf(post('/v1/chat/completions', { messages: [] }));
    expect(answer.status).toBe(415);
  });
});

it('asks for a key where there are keys, but not to say that it is there', async () => {
  const guarded = await startApp({ API_KEYS: 'alice:sk-alice', DEMO: 'on' });
  try {
    const get = (path: string, headers = {}) => open({ port: guarded.port, path, headers });
    expect(await get('/').status).toBe(200);
    expect(await answerOf(get('/api/tags'))).toMatchObject({
      status: 401,
      body: { error: expect.any(String) },
    });
    expect(await get('/api/tags', { authorization: 'Bearer sk-alice' }).status).toBe(200);
  } finally {
    await guarded.close();
  }
});

describe('?format=ollama', () => {
  it('shows a run that was started elsewhere, whole and after a cursor', async () => {
    const path = '/v1/chat/stream?format=ollama';
    const headers = { 'content-type': 'application/json' };
    const messages = [{ role: 'user', content: 'hi' }];
    const call = post(path, { model: 'tools', messages }, { headers });
    const lines = await linesOf(call);
    const id = await runIdOf(call);
    expect(lines.at(-1)).toMatchObject({ model: 'tools', done: true });

    const { body } = await stateOf(server.port, id);
    expect(lines.at(-1)).toMatchObject({ eval_count: body.usage?.completion_tokens });

    const again = view(server.port, id, { query: 'format=ollama' });
    expect(await linesOf(again)).toEqual(lines);
    const rest = view(server.port, id, { query: 'format=ollama&starting_after=2' });
    expect(await linesOf(rest)).toEqual(lines);
  });

  it('shows one answer only', async () => {
    const headers = { 'content-type': 'application/json' };
    const body = { n: 2, messages: [{ role: 'user', content: 'hi' }] };
    const answer = await answerOf(post('/v1/chat/stream?format=ollama', body, { headers }));
    expect(answer).toMatchObject({ status: 400, body: { error: { param: 'n' } } });
  });
});

describe('every model of the demo', () => {
  const ENDS: Record<string, object | number> = {
    error: 502,
    'rate-limit': 429,
    'error-mid': { error: 'demo/error-mid fails in mid-answer.' },
    truncate: { error: 'The provider ended its answer early.' },
  };

  it.each(
    Object.keys(DEMO_MODELS).filter(
      (name) => !['slow', 'slow-start', 'stall', 'long'].includes(name),
    ),
  )('answers in this form: demo/%s', async (name) => {
    const call = chat(`demo/${name}`);
    const end = ENDS[name] ?? { done: true, done_reason: 'stop', eval_count: expect.any(Number) };
    if (typeof end === 'number') expect(await call.status).toBe(end);
    else expect((await linesOf(call)).at(-1)).toMatchObject(end);
  });

  it.each(['slow', 'stall', 'long'])('starts, and can be left: demo/%s', async (name) => {
    const call = chat(`demo/${name}`);
    const [line] = (await call.until('\n')).split('\n');
    expect(JSON.parse(line!)).toMatchObject({ model: `demo/${name}`, done: false });
    call.destroy();
  });
});

describe('another Sluice as the provider', () => {
  let front: RunningApp;
  beforeAll(async () => {
    front = await startApp({ OLLAMA_BASE_URL: server.url, OLLAMA_MODEL: 'demo/echo' });
  });
  afterAll(() => front.close());

  it('passes text, tool calls and counts on', async () => {
    const ask = (model: string) =>
      linesOf(
        open({
          port: front.port,
          path: '/api/chat',
          body: { model, messages: [{ role: 'user', content: 'Grüße, こんにちは' }] },
        }),
      );
    const echoed = await ask('ollama');
    expect(textOf(echoed)).toBe('Grüße, こんにちは');
    expect(echoed.at(-1)).toMatchObject({ model: 'ollama', eval_count: 4 });

    const called = await ask('ollama/demo/tools');
    expect(called.at(-2)?.message?.tool_calls?.[0]?.function).toMatchObject({
      name: 'get_weather',
      arguments: { city: 'Tokyo' },
    });
    expect((await ask('demo/error-mid')).at(-1)).toEqual({
      error: 'demo/error-mid fails in mid-answer.',
    });
  });

  it('closes all the way up when the client leaves', async () => {
    const call = open({
      port: front.port,
      path: '/api/chat',
      body: { model: 'openai/stall', messages: [{ role: 'user', content: 'hi' }] },
    });
    const request = await upstream.next();
    await call.until(TEXT_TOKENS[2]!);
    call.destroy();
    await request.closed;
    expect(request.closedEarly).toBe(true);
  });
});

const hasShell = ['bash', 'curl', 'node'].every(
  (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0,
);

(hasShell || process.env.CI === 'true' ? it : it.skip)(
  'is read by a shell loop that stops at done',
  async () => {
    const script = `curl -sSN "$URL/api/chat" -d '{"model":"text","messages":[{"role":"user","content":"hi"}]}' |
      while IFS= read -r line; do
        printf '%s\\n' "$line" | node -e '
          const { message } = JSON.parse(require("fs").readFileSync(0, "utf8"));
          process.stdout.write(message.content);'
        case "$line" in *'"done":true'*) break ;; esac
      done`;
    const child = spawn('bash', ['-c', script], {
      env: { PATH: process.env.PATH, URL: server.url, no_proxy: '*' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const out: Buffer[] = [];
    for await (const bytes of child.stdout as AsyncIterable<Buffer>) out.push(bytes);
    expect(Buffer.concat(out).toString()).toBe(TEXT);
  },
);
