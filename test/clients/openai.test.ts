import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import * as openai from 'openai';
import type {
  ChatCompletionChunk,
  ChatCompletionCreateParamsStreaming,
} from 'openai/resources/chat/completions';
import { startApp, type RunningApp } from '../support/app.js';
import { describeLines } from '../support/newest.js';
import {
  NASTY,
  PROMPT_TOKENS,
  REFUSAL,
  TEXT,
  TEXT_TOKENS,
  TOOL_CALLS,
  startUpstream,
  type Upstream,
} from '../support/upstream/index.js';

const messages = [{ role: 'user' as const, content: 'hi' }];

const USAGE = {
  prompt_tokens: PROMPT_TOKENS,
  completion_tokens: TEXT_TOKENS.length,
  total_tokens: PROMPT_TOKENS + TEXT_TOKENS.length,
};

const tools = TOOL_CALLS.map(({ name }) => ({
  type: 'function' as const,
  function: { name, parameters: { type: 'object', properties: {} } },
}));

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    AZURE_OPENAI_ENDPOINT: upstream.url,
    AZURE_OPENAI_API_KEY: 'azure-key',
    AZURE_OPENAI_API_VERSION: '2024-10-21',
    AZURE_OPENAI_DEPLOYMENT: 'text',
    OLLAMA_BASE_URL: upstream.url,
    DEMO: 'on',
    // It is the client whose retries are seen here.
    MAX_ATTEMPTS: 1,
  });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await upstream.close();
});

await describeLines(['openai'], openai, (sdk) => {
  const { APIError, AuthenticationError, NotFoundError, RateLimitError } = sdk;
  let client: openai.OpenAI;

  beforeAll(() => {
    client = clientOf(server);
  });

  function clientOf({ url }: RunningApp, apiKey = 'any'): openai.OpenAI {
    return new sdk.OpenAI({ baseURL: `${url}/v1`, apiKey, logLevel: 'off' });
  }

  async function chunksOf(
    request: Partial<ChatCompletionCreateParamsStreaming> & { model: string },
  ): Promise<ChatCompletionChunk[]> {
    const chunks: ChatCompletionChunk[] = [];
    const stream = await client.chat.completions.create({ messages, ...request, stream: true });
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
  }

  function contentOf(chunks: ChatCompletionChunk[], choice = 0): string {
    return chunks
      .flatMap(({ choices }) => choices)
      .filter(({ index }) => index === choice)
      .map(({ delta }) => delta.content ?? '')
      .join('');
  }

  describe.each(['openai', 'azure', 'ollama'])('the openai package through Sluice to %s', (at) => {
    it('streams a text as chunks of one completion', async () => {
      const chunks = await chunksOf({ model: `${at}/text` });

      expect(contentOf(chunks)).toBe(TEXT);
      expect(new Set(chunks.map(({ id, created }) => `${id} ${created}`)).size).toBe(1);
      const reasons = chunks.flatMap(({ choices }) =>
        choices.map((choice) => choice.finish_reason),
      );
      expect(reasons.filter(Boolean)).toEqual(['stop']);
      expect(reasons.at(-1)).toBe('stop');
    });

    it('completes a text', async () => {
      const completion = await client.chat.completions.create({ model: `${at}/text`, messages });

      expect(completion.object).toBe('chat.completion');
      expect(completion.choices).toHaveLength(1);
      expect(completion.choices[0]).toMatchObject({
        index: 0,
        message: { role: 'assistant', content: TEXT, refusal: null },
        finish_reason: 'stop',
      });
      expect(completion.usage).toMatchObject(USAGE);
    });

    it('gets every character as it was, streamed and not', async () => {
      const model = `${at}/nasty`;
      expect(contentOf(await chunksOf({ model }))).toBe(NASTY);

      const completion = await client.chat.completions.create({ model, messages });
      expect(completion.choices[0]?.message.content).toBe(NASTY);
    });

    it('is told the usage of a stream only when it asked for it', async () => {
      const silent = await chunksOf({ model: `${at}/text` });
      expect(silent.filter(({ usage }) => usage)).toEqual([]);
      expect(silent.every(({ choices }) => choices.length === 1)).toBe(true);

      const chunks = await chunksOf({
        model: `${at}/text`,
        stream_options: { include_usage: true },
      });
      expect(chunks.filter(({ usage }) => usage)).toHaveLength(1);
      expect(chunks.at(-1)).toMatchObject({ choices: [], usage: USAGE });
    });

    it('puts parallel tool calls together, streamed and not', async () => {
      const expected = TOOL_CALLS.map(({ name }) => name);
      const read = (call: openai.OpenAI.ChatCompletionMessageToolCall) => {
        if (call.type !== 'function') throw new Error('not a function');
        return {
          name: call.function.name,
          arguments: JSON.parse(call.function.arguments) as unknown,
        };
      };
      const calls = TOOL_CALLS.map((call) => ({
        name: call.name,
        arguments: JSON.parse(call.arguments) as unknown,
      }));
      const request = { model: `${at}/tools`, messages, tools };

      const streamed = await client.chat.completions.stream(request).finalChatCompletion();
      const whole = await client.chat.completions.create(request);

      for (const { choices } of [streamed, whole]) {
        const [choice] = choices;
        expect(choice?.finish_reason).toBe('tool_calls');
        expect(choice?.message.tool_calls?.map(read)).toEqual(calls);
        const ids = choice?.message.tool_calls?.map(({ id }) => id) ?? [];
        expect(new Set(ids).size).toBe(expected.length);
      }
      expect(JSON.stringify(whole.choices[0]?.message.tool_calls)).not.toContain('"index"');
    });

    it('throws an APIError where a stream breaks, after what came before', async () => {
      for (const play of ['rst-mid', 'eof-mid', 'error-mid', 'malformed']) {
        const model = `${at}/${play}`;
        const stream = await client.chat.completions.create({ model, messages, stream: true });
        const chunks: ChatCompletionChunk[] = [];
        const reading = (async () => {
          for await (const chunk of stream) chunks.push(chunk);
        })();

        await expect(reading).rejects.toBeInstanceOf(APIError);
        expect(contentOf(chunks)).toBe(TEXT_TOKENS.slice(0, 3).join(''));
      }
    });

    it('closes the upstream when it aborts a stream', async () => {
      const stream = await client.chat.completions.create({
        model: `${at}/stall`,
        messages,
        stream: true,
      });
      const request = await upstream.next();
      await stream[Symbol.asyncIterator]().next();
      stream.controller.abort();

      await request.closed;
      expect(request.closedEarly).toBe(true);
    });

    it('closes the upstream when it aborts a completion', async () => {
      const controller = new AbortController();
      const completion = client.chat.completions.create(
        { model: `${at}/stall`, messages },
        { signal: controller.signal },
      );
      completion.catch(() => undefined);
      const request = await upstream.next();
      controller.abort();

      await request.closed;
      expect(request.closedEarly).toBe(true);
    });
  });

  describe('the openai package', () => {
    it('sees every choice, streamed and not', async () => {
      const request = { model: 'choices-2', messages, n: 2 };
      const chunks = await chunksOf(request);
      expect([contentOf(chunks, 0), contentOf(chunks, 1)]).toEqual([TEXT, TEXT.toUpperCase()]);

      const { choices } = await client.chat.completions.create(request);
      expect(choices.map(({ message }) => message.content)).toEqual([TEXT, TEXT.toUpperCase()]);
      expect(choices.map((choice) => choice.finish_reason)).toEqual(['stop', 'stop']);
    });

    it('sees a refusal', async () => {
      const { choices } = await client.chat.completions.create({ model: 'refusal', messages });
      expect(choices[0]?.message).toMatchObject({ refusal: REFUSAL });
    });

    it("knows a provider's rate limit, and how long to wait", async () => {
      const refusal = client.chat.completions
        .create({ model: 'status-429', messages, stream: true }, { maxRetries: 0 })
        .catch((error: unknown) => error);

      const error = (await refusal) as openai.RateLimitError;
      expect(error).toBeInstanceOf(RateLimitError);
      expect(error.code).toBe('provider_rate_limited');
      expect(error.headers.get('retry-after')).toBe('7');
    });

    it('retries what may pass', async () => {
      upstream.script('busy', (x) => {
        const isFirst = upstream.requests.length === 1;
        if (isFirst) x.error(429, {}, { 'retry-after-ms': '10' });
        else x.text('back');
        if (!isFirst) x.complete();
      });
      const { choices } = await client.chat.completions.create({ model: 'busy', messages });
      expect(choices[0]?.message.content).toBe('back');
      expect(upstream.requests).toHaveLength(2);
    });

    it.each(['status-401', 'status-408', 'status-409', 'status-429_retryafter-61'])(
      'does not retry what will not pass (%s)',
      async (model) => {
        const refusal = client.chat.completions.create({ model, messages });
        await expect(refusal).rejects.toBeInstanceOf(APIError);
        expect(upstream.requests).toHaveLength(1);
      },
    );

    it('lists the models and finds each again by its name, slashes included', async () => {
      const ids: string[] = [];
      for await (const { id } of client.models.list()) ids.push(id);

      expect(ids).toEqual(
        expect.arrayContaining([
          'openai/gpt-4o-mini',
          'azure/text',
          'ollama/llama3.2',
          'demo/echo',
        ]),
      );
      for (const id of ids) {
        expect(await client.models.retrieve(id)).toMatchObject({ id, object: 'model' });
      }
      // Nobody lists it, and the default provider is asked for it.
      expect(await client.models.retrieve('gpt-4o-mini')).toMatchObject({
        id: 'gpt-4o-mini',
        owned_by: 'openai',
      });
      const raw = await fetch(`${server.url}/v1/models/demo/echo`);
      expect(await raw.json()).toMatchObject({ id: 'demo/echo' });
      const unknown = client.models.retrieve('demo/nothing');
      await expect(unknown).rejects.toBeInstanceOf(NotFoundError);
    });
  });

  it('needs no other model name on a server that has the demo only', async () => {
    const demo = await startApp();
    try {
      const stream = await clientOf(demo).chat.completions.create({
        model: 'gpt-4o-mini',
        messages: [{ role: 'user', content: 'やっほ' }],
        stream: true,
      });
      for await (const { choices } of stream) {
        if (choices[0]?.delta.content) break;
      }
      const { choices } = await clientOf(demo).chat.completions.create({
        model: 'demo/echo',
        messages: [{ role: 'user', content: 'やっほ' }],
      });
      expect(choices[0]?.message.content).toBe('やっほ');
    } finally {
      await demo.close();
    }
  });

  it('sends its API key where keys are on', async () => {
    const guarded = await startApp({ API_KEYS: 'alice:sk-alice', DEMO: 'on' });
    try {
      const ask = (key: string) =>
        clientOf(guarded, key).chat.completions.create({ model: 'demo/echo', messages });

      expect((await ask('sk-alice')).choices[0]?.message.content).toBe('hi');
      await expect(ask('sk-mallory')).rejects.toBeInstanceOf(AuthenticationError);
    } finally {
      await guarded.close();
    }
  });
});
