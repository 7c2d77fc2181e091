import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Ollama, type ChatRequest, type ChatResponse } from 'ollama';
import { startApp, type RunningApp } from '../support/app.js';
import {
  NASTY,
  PROMPT_TOKENS,
  REASONING,
  TEXT,
  TEXT_TOKENS,
  TOOL_CALLS,
  startUpstream,
  type Upstream,
} from '../support/upstream/index.js';

const HEARTBEAT_MS = 50;

const messages = [{ role: 'user', content: 'hi' }];

const COUNTS = { prompt_eval_count: PROMPT_TOKENS, eval_count: TEXT_TOKENS.length };

const tools = TOOL_CALLS.map(({ name }) => ({
  type: 'function',
  function: { name, description: name, parameters: { type: 'object', properties: {} } },
}));

let upstream: Upstream;
let server: RunningApp;
let client: Ollama;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OLLAMA_BASE_URL: upstream.url,
    DEMO: 'on',
    HEARTBEAT_MS,
  });
  client = new Ollama({ host: server.url });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await upstream.close();
});

async function partsOf(request: Omit<ChatRequest, 'stream'>): Promise<ChatResponse[]> {
  const parts: ChatResponse[] = [];
  for await (const part of await client.chat({ messages, ...request, stream: true })) {
    parts.push(part);
  }
  return parts;
}

function textOf(parts: ChatResponse[]): string {
  return parts.map(({ message }) => message.content).join('');
}

describe.each(['openai', 'ollama'])('the ollama package through Sluice to %s', (at) => {
  it('streams a text, and is told the counts', async () => {
    const parts = await partsOf({ model: `${at}/text` });
    expect(textOf(parts)).toBe(TEXT);
    expect(parts.at(-1)).toMatchObject({ done: true, done_reason: 'stop', ...COUNTS });
  });

  it('gets a text at once', async () => {
    const whole = await client.chat({ model: `${at}/nasty`, messages });
    expect(whole.message.content).toBe(NASTY);
    expect(whole.done).toBe(true);
  });

  it('streams thinking', async () => {
    const parts = await partsOf({ model: `${at}/reasoning`, think: true });
    expect(parts.map(({ message }) => message.thinking ?? '').join('')).toBe(REASONING);
    expect(textOf(parts)).toBe(TEXT);
  });

  it('gets tool calls, and sends their results', async () => {
    const request = { model: `${at}/tools`, tools };
    const calls = (await partsOf(request)).flatMap(({ message }) => message.tool_calls ?? []);
    const whole = await client.chat({ ...request, messages });
    for (const got of [calls, whole.message.tool_calls ?? []]) {
      expect(got.map((call) => call.function)).toMatchObject(
        TOOL_CALLS.map(({ name, arguments: json }) => ({
          name,
          arguments: JSON.parse(json) as object,
        })),
      );
    }

    upstream.requests = [];
    const results = TOOL_CALLS.map(({ name }) => ({
      role: 'tool',
      tool_name: name,
      content: 'ok',
    }));
    await client.chat({ model: `${at}/text`, messages: [...messages, whole.message, ...results] });
    const sent = (await upstream.next()).body.messages!;
    expect(sent.slice(2).map((message) => message.tool_call_id)).toEqual(
      (sent[1]!.tool_calls as { id: string }[]).map(({ id }) => id),
    );
  });

  it("throws its error where a stream breaks, with the failure's words", async () => {
    for (const play of ['rst-mid', 'eof-mid', 'error-mid', 'malformed']) {
      const parts: ChatResponse[] = [];
      const reading = (async () => {
        const stream = await client.chat({ model: `${at}/${play}`, messages, stream: true });
        for await (const part of stream) parts.push(part);
      })();
      await expect(reading).rejects.toThrow(/The (provider|engine)/);
      expect(textOf(parts)).toBe(TEXT_TOKENS.slice(0, 3).join(''));
    }
  });

  it('throws its ResponseError, with the status, for what fails before', async () => {
    for (const stream of [true, false] as const) {
      const refusal = client.chat({ model: `${at}/status-429`, messages, stream: stream as true });
      await expect(refusal).rejects.toMatchObject({ name: 'ResponseError', status_code: 429 });
    }
  });

  it('closes the upstream when it aborts', async () => {
    const stream = await client.chat({ model: `${at}/stall`, messages, stream: true });
    const request = await upstream.next();
    const reading = (async () => {
      for await (const { message } of stream) {
        if (message.content === TEXT_TOKENS[2]) client.abort();
      }
    })();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await request.closed;
    expect(request.closedEarly).toBe(true);
  });

  it('survives a long silence', async () => {
    upstream.script('pause', async (x) => {
      x.text('before');
      await x.sleep(20 * HEARTBEAT_MS);
      x.text('after');
      x.complete();
    });
    const parts = await partsOf({ model: `${at}/pause` });
    expect(textOf(parts)).toBe('beforeafter');
    expect(parts.length).toBeGreaterThan(4);
  });

  it('generates', async () => {
    const request = { model: `${at}/echo`, prompt: 'Grüße, こんにちは', system: 'Be brief.' };
    let text = '';
    for await (const part of await client.generate({ ...request, stream: true })) {
      text += part.response ?? '';
    }
    expect(text).toBe(request.prompt);
    expect(await client.generate(request)).toMatchObject({ response: request.prompt, done: true });
  });
});

describe('the ollama package', () => {
  it('sends a format, options and images', async () => {
    await client.chat({
      model: 'openai/text',
      messages: [
        { role: 'user', content: 'hi', images: [Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')] },
      ],
      format: { type: 'object' },
      options: { temperature: 0, num_predict: 5 },
    });
    expect((await upstream.next()).body).toMatchObject({
      temperature: 0,
      max_tokens: 5,
      response_format: { type: 'json_schema', json_schema: { schema: { type: 'object' } } },
      messages: [
        {
          content: [
            { type: 'text', text: 'hi' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
          ],
        },
      ],
    });
  });

  it('lists and shows the models, and sees the version', async () => {
    const { models } = await client.list();
    expect(models.map(({ name }) => name)).toContain('demo/echo');
    for (const { model } of models) {
      expect((await client.show({ model })).capabilities).toContain('tools');
    }
    expect((await client.ps()).models).toEqual([]);
    expect((await client.version()).version).toMatch(/^\d+\.\d+\.\d+$/);
    await expect(client.show({ model: 'demo/nothing' })).rejects.toMatchObject({
      name: 'ResponseError',
      status_code: 404,
    });
  });

  it('loads and unloads a model', async () => {
    const load = await client.generate({ model: 'demo/echo', prompt: '' });
    expect(load.done_reason).toBe('load');
    const unload = await client.chat({ model: 'demo/echo', messages: [], keep_alive: 0 });
    expect(unload.done_reason).toBe('unload');
  });

  it('sends an API key where keys are on', async () => {
    const guarded = await startApp({ API_KEYS: 'alice:sk-alice', DEMO: 'on' });
    try {
      const ask = (key: string) => {
        const headers = { Authorization: `Bearer ${key}` };
        const own = new Ollama({ host: guarded.url, headers });
        return own.chat({ model: 'demo/echo', messages });
      };
      expect((await ask('sk-alice')).message.content).toBe('hi');
      await expect(ask('sk-mallory')).rejects.toMatchObject({ status_code: 401 });
    } finally {
      await guarded.close();
    }
  });
});
