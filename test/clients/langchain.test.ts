import { HumanMessage } from '@langchain/core/messages';
import * as langchain from '@langchain/openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { describeLines } from '../support/newest.js';
import {
  PROMPT_TOKENS,
  TEXT,
  TEXT_TOKENS,
  TOOL_CALLS,
  startUpstream,
  type Upstream,
} from '../support/upstream/index.js';

const USAGE = {
  input_tokens: PROMPT_TOKENS,
  output_tokens: TEXT_TOKENS.length,
  total_tokens: PROMPT_TOKENS + TEXT_TOKENS.length,
};

/** A silence after the third token, many heartbeats long. */
const SILENCE_MS = 300;

const messages = [new HumanMessage('hi')];

const tools = TOOL_CALLS.map(({ name }) => ({
  type: 'function' as const,
  function: { name, parameters: { type: 'object', properties: {} } },
}));

const CALLS = TOOL_CALLS.map(({ id, name, arguments: json }) => ({
  id,
  name,
  args: JSON.parse(json) as unknown,
}));

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, HEARTBEAT_MS: 20 });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await upstream.close();
});

await describeLines(['@langchain/openai'], langchain, (sdk) => {
  const { APIError, RateLimitError } = sdk.OpenAIClient;

  function chat(model: string): langchain.ChatOpenAI {
    const configuration = { baseURL: `${server.url}/v1`, logLevel: 'off' as const };
    return new sdk.ChatOpenAI({ model, apiKey: 'any', maxRetries: 0, configuration });
  }

  describe("LangChain's ChatOpenAI", () => {
    it('streams a text with its usage', async () => {
      let text = '';
      let usage: unknown;
      for await (const chunk of await chat('text').stream(messages)) {
        text += chunk.text;
        usage = chunk.usage_metadata ?? usage;
      }
      expect(text).toBe(TEXT);
      expect(usage).toMatchObject(USAGE);
    });

    it('gets a text at once, with its usage', async () => {
      const { text, usage_metadata: usage } = await chat('text').invoke(messages);
      expect(text).toBe(TEXT);
      expect(usage).toMatchObject(USAGE);
    });

    it('calls tools, streaming and not', async () => {
      const model = chat('tools').bindTools(tools);
      const whole = await model.invoke(messages);
      expect(whole.tool_calls).toMatchObject(CALLS);

      const chunks = [];
      for await (const chunk of await model.stream(messages)) chunks.push(chunk);
      const joined = chunks.reduce((before, chunk) => before.concat(chunk));
      expect(joined.tool_calls).toMatchObject(CALLS);
    });

    it('throws the APIError of its OpenAI client, behind what came before', async () => {
      for (const model of ['error-mid', 'rst-mid', 'eof-mid']) {
        let text = '';
        const reading = (async () => {
          for await (const chunk of await chat(model).stream(messages)) text += chunk.text;
        })();

        await expect(reading).rejects.toBeInstanceOf(APIError);
        expect(text).toBe(TEXT_TOKENS.slice(0, 3).join(''));
      }
    });

    it('throws the RateLimitError of its OpenAI client', async () => {
      await expect(chat('status-429').invoke(messages)).rejects.toBeInstanceOf(RateLimitError);
    });

    it('closes the upstream when it aborts a stream', async () => {
      const controller = new AbortController();
      const reading = (async () => {
        const stream = await chat('stall').stream(messages, { signal: controller.signal });
        for await (const chunk of stream) if (chunk.text !== '') controller.abort();
      })();
      const request = await upstream.next();

      await expect(reading).rejects.toThrow();
      await request.closed;
      expect(request.closedEarly).toBe(true);
    });

    it('closes the upstream when it aborts a call', async () => {
      const controller = new AbortController();
      const answer = chat('stall').invoke(messages, { signal: controller.signal });
      answer.catch(() => undefined);
      const request = await upstream.next();
      controller.abort();

      await request.closed;
      expect(request.closedEarly).toBe(true);
      await expect(answer).rejects.toThrow();
    });

    it('survives a long silence', async () => {
      upstream.script('silence', async (x) => {
        x.role();
        await x.tokens(TEXT_TOKENS.slice(0, 3));
        await x.sleep(SILENCE_MS);
        await x.tokens(TEXT_TOKENS.slice(3));
        x.complete();
      });
      let text = '';
      for await (const chunk of await chat('silence').stream(messages)) text += chunk.text;
      expect(text).toBe(TEXT);
    });
  });
});
