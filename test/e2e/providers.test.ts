import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { open, type OpenOptions } from '../support/http.js';
import { parseSse } from '../support/sse.js';
import {
  PROMPT_TOKENS,
  TEXT,
  TEXT_TOKENS,
  startUpstream,
  type Upstream,
  type UpstreamRequest,
} from '../support/upstream/index.js';

const messages = [{ role: 'user', content: 'hi' }];

let upstream: Upstream;
let apps: RunningApp[] = [];

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(async () => {
  await Promise.all(apps.map((app) => app.close()));
  apps = [];
  upstream.reset();
});
afterAll(() => upstream.close());

async function serve(env: Record<string, string>): Promise<RunningApp> {
  const app = await startApp(env);
  apps.push(app);
  return app;
}

const openai = () => ({ OPENAI_BASE_URL: `${upstream.url}/v1`, OPENAI_API_KEY: 'sk-test' });
const azure = () => ({
  AZURE_OPENAI_ENDPOINT: upstream.url,
  AZURE_OPENAI_API_KEY: 'azure-test',
  AZURE_OPENAI_DEPLOYMENT: 'text',
  AZURE_OPENAI_API_VERSION: '2024-10-21',
});
const ollama = () => ({ OLLAMA_BASE_URL: upstream.url });
const ENVIRONMENTS = { openai, azure, ollama };

async function answerOf({ port }: RunningApp, options: Omit<OpenOptions, 'port'>) {
  const call = open({ port, path: '/v1/chat/stream', ...options });
  await call.ended;
  return { status: await call.status, text: call.text() };
}

/** The request that a body becomes, whatever the upstream makes of it. */
async function sentFor(app: RunningApp, body: object | string): Promise<UpstreamRequest> {
  const headers = { 'content-type': 'application/json' };
  await answerOf(app, { body, ...(typeof body === 'string' && { headers }) });
  return upstream.next();
}

describe('a request to openai', () => {
  it('goes to the chat completions of the base URL, with the key and nothing of the client', async () => {
    const app = await serve(openai());
    const call = open({
      port: app.port,
      path: '/v1/chat/stream',
      headers: { authorization: 'Bearer of-the-client', cookie: 'a=b', 'x-secret': 'c' },
      body: { model: 'text', messages },
    });
    await call.ended;

    const { method, path, headers } = await upstream.next();
    expect({ method, path }).toEqual({ method: 'POST', path: '/v1/chat/completions' });
    expect(headers.authorization).toBe('Bearer sk-test');
    expect(headers['content-type']).toBe('application/json');
    expect(headers.cookie).toBeUndefined();
    expect(headers['x-secret']).toBeUndefined();
  });

  it('always streams and asks for usage', async () => {
    const app = await serve(openai());
    const { body } = await sentFor(app, {
      model: 'text',
      messages,
      stream: false,
      stream_options: { include_usage: false, include_obfuscation: false },
    });
    expect(body).toEqual({
      model: 'text',
      messages,
      stream: true,
      stream_options: { include_usage: true, include_obfuscation: false },
    });
  });

  it('has every parameter that Sluice does not know, as it was', async () => {
    const app = await serve(openai());
    // As text: in an object literal __proto__ would be the prototype.
    const parameters =
      '"temperature":0.5,"seed":12345678901,"metadata":{"constructor":"x"},"x_new":[null,{"a":1.0e3}],' +
      '"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":' +
      '{"constructor":{"type":"string"},"prototype":{"type":"string"},"__proto__":{"type":"string"}}}}}]';
    const conversation =
      '[{"role":"user","name":"ada","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}},' +
      '{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]';
    const { body } = await sentFor(
      app,
      `{"model":"text","messages":${conversation},${parameters}}`,
    );

    const { model: _model, messages: sent, stream: _s, stream_options: _o, ...rest } = body;
    expect(sent).toEqual(JSON.parse(conversation));
    expect(JSON.stringify(rest)).toBe(JSON.stringify(JSON.parse(`{${parameters}}`)));
  });
});

describe('a request to azure', () => {
  it.each([
    ['2024-10-21', '', '/openai/deployments/text/chat/completions?api-version=2024-10-21'],
    ['2024-10-21', '/', '/openai/deployments/text/chat/completions?api-version=2024-10-21'],
    ['2024-10-21', '/openai/v1/', '/openai/v1/chat/completions'],
    ['', '', '/openai/v1/chat/completions'],
    ['v1', '', '/openai/v1/chat/completions'],
    ['preview', '', '/openai/v1/chat/completions?api-version=preview'],
  ])('with the version %j and an endpoint ending in %j goes to %s', async (version, end, path) => {
    const app = await serve({
      ...azure(),
      AZURE_OPENAI_ENDPOINT: `${upstream.url}${end}`,
      AZURE_OPENAI_API_VERSION: version,
    });
    const { text } = await answerOf(app, { body: { messages } });
    const request = await upstream.next();

    expect(request.path).toBe(path);
    expect(request.headers['api-key']).toBe('azure-test');
    expect(request.headers.authorization).toBeUndefined();
    expect(request.body.model).toBe('text');
    expect(parseSse(text).events.at(-1)?.event).toBe('done');
  });

  it('takes the names of the variables that other tools use', async () => {
    const app = await serve({
      AZURE_OPENAI_ENDPOINT: upstream.url,
      AZURE_OPENAI_KEY: 'other-key',
      AZURE_OPENAI_CHATGPT_DEPLOYMENT: 'text_tokens-1',
      OPENAI_API_VERSION: '2024-06-01',
    });
    const { path, headers } = await sentFor(app, { messages });
    expect(path).toBe('/openai/deployments/text_tokens-1/chat/completions?api-version=2024-06-01');
    expect(headers['api-key']).toBe('other-key');
  });

  it.each(['azure/../../secrets', 'azure/a?api-version=1', 'azure/a%2fb', 'azure/a/b'])(
    'is not sent for a deployment that would change its path (%s)',
    async (model) => {
      const app = await serve(azure());
      const { status } = await answerOf(app, { body: { model, messages } });
      expect(status).toBe(400);
      expect(upstream.requests).toEqual([]);
    },
  );
});

describe.each(['openai', 'azure'] as const)('a model at %s that refuses stream_options', (at) => {
  it('is asked once more without them, and never with them again', async () => {
    const app = await serve(ENVIRONMENTS[at]());
    const model = `${at}/refuses-stream-options`;
    for (const asked of [2, 3]) {
      const { text } = await answerOf(app, { body: { model, messages } });
      expect(parseSse(text).events.at(-1)?.event).toBe('done');
      expect(upstream.requests).toHaveLength(asked);
    }
    const options = upstream.requests.map(({ body }) => body.stream_options);
    expect(options).toEqual([{ include_usage: true }, undefined, undefined]);

    await answerOf(app, { body: { model: `${at}/text`, messages } });
    expect(upstream.requests.at(-1)?.body.stream_options).toEqual({ include_usage: true });
  });

  it('is not taken for one because it repeats a request that it refuses', async () => {
    upstream.script('repeats', (x) => x.json(422, { detail: [{ input: x.request.body }] }));
    const app = await serve(ENVIRONMENTS[at]());
    for (let request = 0; request < 2; request += 1) {
      const { status } = await answerOf(app, { body: { model: `${at}/repeats`, messages } });
      expect(status).toBe(422);
    }
    const options = upstream.requests.map(({ body }) => body.stream_options);
    const asked = { include_usage: true };
    expect(options).toEqual([asked, undefined, asked, undefined]);
  });

  it('is asked once more where it says so as FastAPI does', async () => {
    upstream.script('strict', (x) => {
      if (x.request.body.stream_options !== undefined) {
        x.json(422, { detail: [{ type: 'extra_forbidden', loc: ['body', 'stream_options'] }] });
        return;
      }
      x.chunk({ choices: [{ index: 0, delta: { content: 'hi' }, finish_reason: 'stop' }] });
      x.done();
      x.end();
    });
    const app = await serve(ENVIRONMENTS[at]());
    const { text: answer } = await answerOf(app, { body: { model: `${at}/strict`, messages } });
    expect(parseSse(answer).events.at(-1)?.event).toBe('done');
  });
});

describe.each(['openai', 'azure'] as const)('what the SDK tells of this machine', (at) => {
  it(`is not told to ${at}`, async () => {
    const app = await serve(ENVIRONMENTS[at]());
    const { headers } = await sentFor(app, { model: `${at}/text`, messages });
    expect(headers['user-agent']).toContain('OpenAI/JS');
    expect(Object.keys(headers).filter((name) => name.startsWith('x-stainless'))).toEqual([]);
  });
});

describe("azure's content-filter frames", () => {
  interface Chunk {
    id: string;
    created: number;
    object: string;
    model: string;
    prompt_filter_results?: unknown;
    choices: { delta?: { content?: string }; finish_reason: string | null }[];
  }

  it.each(['json', 'text', 'plain'])('leave the text of format=%s as it is', async (format) => {
    const app = await serve(azure());
    const body = { model: 'azure/azure-frames', messages };
    const { text } = await answerOf(app, { path: `/v1/chat/stream?format=${format}`, body });
    if (format === 'plain') {
      expect(text).toBe(TEXT);
      return;
    }
    const { events } = parseSse(text);
    const deltas = events.filter(({ event }) => event === 'message').map(({ data }) => data);
    const read = (data: string) => (JSON.parse(data) as { content: string }).content;
    expect(deltas.map(format === 'json' ? read : String).join('')).toBe(TEXT);
    expect(events.at(-1)?.event).toBe('done');
  });

  it.each(['/v1/chat/stream?format=openai', '/v1/chat/completions'])(
    'are chunks that every client can read at %s',
    async (path) => {
      const app = await serve(azure());
      const body = { model: 'azure/azure-frames', messages, stream: true };
      const { text } = await answerOf(app, { path, body });

      const data = parseSse(text).events.map((event) => event.data);
      expect(data.pop()).toBe('[DONE]');
      const chunks = data.map((json) => JSON.parse(json) as Chunk);
      expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
      expect(chunks[0]!.id).not.toBe('');
      expect(new Set(chunks.map(({ created }) => created)).size).toBe(1);
      expect(chunks.every(({ object }) => object === 'chat.completion.chunk')).toBe(true);
      expect(chunks.every(({ model }) => model === 'azure-frames')).toBe(true);
      const choices = chunks.flatMap((chunk) => chunk.choices);
      expect(choices.every(({ delta }) => typeof delta === 'object')).toBe(true);
      expect(choices.map(({ delta }) => delta?.content ?? '').join('')).toBe(TEXT);
      expect(choices.filter(({ finish_reason }) => finish_reason)).toHaveLength(1);
      // What the filter said is not lost, and no chunk is there for it alone.
      expect(text).toContain('"prompt_filter_results"');
      expect(text).toContain('"content_filter_results"');
      const usageChunks = path.endsWith('openai') ? 1 : 0;
      expect(chunks.filter((chunk) => chunk.choices.length === 0)).toHaveLength(usageChunks);
    },
  );

  it('are part of a whole answer', async () => {
    const app = await serve(azure());
    const body = { model: 'azure/azure-frames', messages };
    const { text } = await answerOf(app, { path: '/v1/chat/completions', body });

    expect(JSON.parse(text)).toMatchObject({
      object: 'chat.completion',
      prompt_filter_results: [{ prompt_index: 0 }],
      choices: [{ message: { content: TEXT }, finish_reason: 'stop' }],
      usage: { completion_tokens: TEXT_TOKENS.length },
    });
  });

  it('may be the finish reason', async () => {
    const app = await serve(azure());
    const { text } = await answerOf(app, { body: { model: 'azure/content-filter', messages } });
    const done = parseSse(text).events.at(-1)!;
    expect(done.event).toBe('done');
    expect(JSON.parse(done.data)).toMatchObject({ finish_reason: 'content_filter' });
  });
});

describe('a request to ollama', () => {
  it.each(['', '/', '/api', '/v1/'])(
    'goes to /api/chat of a base URL ending in %j',
    async (end) => {
      const app = await serve({ OLLAMA_BASE_URL: `${upstream.url}${end}` });
      const { method, path, headers } = await sentFor(app, { model: 'text', messages });
      expect({ method, path }).toEqual({ method: 'POST', path: '/api/chat' });
      expect(headers.authorization).toBeUndefined();
    },
  );

  it("is in Ollama's words", async () => {
    const app = await serve(ollama());
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
    const { body } = await sentFor(app, {
      model: 'ollama/text',
      messages: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'text', text: 'hi' }] },
      ],
      temperature: 0.5,
      max_completion_tokens: 7,
      stop: 'x',
      response_format: { type: 'json_object' },
      tools,
      keep_alive: '5m',
    });
    expect(body).toEqual({
      model: 'text',
      stream: true,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hi' },
      ],
      options: { temperature: 0.5, num_predict: 7, stop: ['x'] },
      format: 'json',
      tools,
      keep_alive: '5m',
    });
  });
});

describe('SYSTEM_PROMPT', () => {
  const prompt = { role: 'system', content: 'You are terse.' };

  it.each(['openai', 'azure', 'ollama'] as const)('goes in front at %s', async (at) => {
    const app = await serve({ ...ENVIRONMENTS[at](), SYSTEM_PROMPT: prompt.content });
    const { body } = await sentFor(app, { model: `${at}/text`, messages });
    expect(body.messages).toEqual([prompt, ...messages]);
  });

  it.each(['system', 'developer'])('gives way to a %s message', async (role) => {
    const app = await serve({ ...openai(), SYSTEM_PROMPT: prompt.content });
    const own = [...messages, { role, content: 'Be verbose.' }];
    const { body } = await sentFor(app, { model: 'text', messages: own });
    expect(body.messages).toEqual(own);
  });

  it('goes in front of the question of a GET', async () => {
    const app = await serve({ ...openai(), SYSTEM_PROMPT: prompt.content });
    await answerOf(app, { path: '/v1/chat/stream?q=hi&model=text' });
    expect((await upstream.next()).body.messages).toEqual([prompt, ...messages]);
  });
});

describe('a model name', () => {
  const OPENAI = '/v1/chat/completions';
  const OLLAMA = '/api/chat';
  const both = () => ({ ...openai(), ...ollama(), OLLAMA_MODEL: 'llama3.2' });

  it.each([
    // The name, the variables beside two providers, where it goes, and as what.
    [undefined, {}, OPENAI, 'gpt-4o-mini'],
    [undefined, { OPENAI_MODEL: 'gpt-5' }, OPENAI, 'gpt-5'],
    [undefined, { DEFAULT_MODEL: 'ollama/qwen3:8b' }, OLLAMA, 'qwen3:8b'],
    [undefined, { DEFAULT_MODEL: 'ollama' }, OLLAMA, 'llama3.2'],
    [undefined, { DEFAULT_MODEL: 'gpt-4.1' }, OPENAI, 'gpt-4.1'],
    [null, {}, OPENAI, 'gpt-4o-mini'],
    ['ollama', {}, OLLAMA, 'llama3.2'],
    ['openai', {}, OPENAI, 'gpt-4o-mini'],
    ['ollama/llama3.2:3b', {}, OLLAMA, 'llama3.2:3b'],
    ['ollama/hf.co/org/model:Q4', {}, OLLAMA, 'hf.co/org/model:Q4'],
    ['openai/ft:gpt-4o:me', { DEFAULT_MODEL: 'ollama' }, OPENAI, 'ft:gpt-4o:me'],
    ['gpt-4o', {}, OPENAI, 'gpt-4o'],
    ['meta-llama/Llama-3.3-70B', {}, OPENAI, 'meta-llama/Llama-3.3-70B'],
    ['llama3.2:3b', { DEFAULT_MODEL: 'ollama' }, OLLAMA, 'llama3.2:3b'],
    ['azure/gpt-4o', {}, OPENAI, 'azure/gpt-4o'],
  ])('%j with %j goes to %s as %j', async (model, env, path, sentModel) => {
    const app = await serve({ ...both(), ...env });
    const request = await sentFor(app, { model, messages });
    expect({ path: request.path, model: request.model }).toEqual({ path, model: sentModel });
  });

  it('is told in full by the events', async () => {
    const app = await serve({ ...both(), DEFAULT_MODEL: 'ollama/text' });
    const { text } = await answerOf(app, { body: { messages } });
    const { events } = parseSse(text);
    for (const event of [events[0]!, events.at(-1)!]) {
      expect(JSON.parse(event.data)).toMatchObject({ model: 'ollama/text' });
    }
  });

  it('of any client gets the demo where there is nothing else', async () => {
    const app = await serve({});
    const call = open({
      port: app.port,
      path: '/v1/chat/stream',
      body: { model: 'gpt-4o-mini', messages },
    });
    expect(await call.until('event: start')).toContain('data: {"id"');
    expect(await call.until('data: {"content"')).toContain('"model":"demo/answer"');
    call.destroy();
  });
});

describe.each(['openai', 'azure', 'ollama'] as const)('the usage of %s', (at) => {
  async function usageOf(model: string): Promise<unknown> {
    const app = await serve(ENVIRONMENTS[at]());
    const { text } = await answerOf(app, { body: { model: `${at}/${model}`, messages } });
    const done = parseSse(text).events.at(-1)!;
    expect(done.event).toBe('done');
    return (JSON.parse(done.data) as { usage: unknown }).usage;
  }
  const counted = {
    prompt_tokens: PROMPT_TOKENS,
    completion_tokens: TEXT_TOKENS.length,
    total_tokens: PROMPT_TOKENS + TEXT_TOKENS.length,
    source: 'provider',
  };

  it.each(['text', 'usage-on-finish', 'finish-with-content'])(
    'is the count of the provider (%s)',
    async (model) => expect(await usageOf(model)).toMatchObject(counted),
  );

  it('is estimated where the provider counted nothing', async () => {
    expect(await usageOf('no-usage')).toEqual({
      prompt_tokens: expect.any(Number),
      completion_tokens: expect.any(Number),
      total_tokens: expect.any(Number),
      source: 'estimated',
    });
  });
});
