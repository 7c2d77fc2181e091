import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import * as openai from 'openai';
import { startApp, type RunningApp } from '../support/app.js';
import { describeLines } from '../support/newest.js';
import {
  TEXT,
  TEXT_TOKENS,
  TOOL_CALLS,
  startUpstream,
  type Upstream,
} from '../support/upstream/index.js';

const messages = [{ role: 'user' as const, content: 'hi' }];

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    DEMO: 'on',
    API_KEYS: 'alice:sk-alice',
  });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await upstream.close();
});

await describeLines(['openai'], openai, (sdk) => {
  const { APIError, AuthenticationError, AzureOpenAI, NotFoundError, OpenAI } = sdk;
  let client: openai.AzureOpenAI;

  beforeAll(() => {
    client = clientOf('sk-alice');
  });

  function clientOf(apiKey: string): openai.AzureOpenAI {
    const options = { endpoint: server.url, apiVersion: '2024-10-21', logLevel: 'off' as const };
    return new AzureOpenAI({ ...options, apiKey });
  }

  describe("Azure's client of the openai package", () => {
    it.each(['text', 'openai/text'])('streams from the deployment %s', async (model) => {
      const stream = await client.chat.completions.create({ model, messages, stream: true });
      let text = '';
      for await (const { choices } of stream) text += choices[0]?.delta.content ?? '';

      expect(text).toBe(TEXT);
      expect(upstream.requests[0]?.body.model).toBe('text');
    });

    it('gets a completion with its usage, and tool calls', async () => {
      const completion = await client.chat.completions.create({ model: 'tools', messages });

      const calls = completion.choices[0]?.message.tool_calls ?? [];
      expect(calls.map(({ id }) => id)).toEqual(TOOL_CALLS.map(({ id }) => id));
      expect(completion.usage?.total_tokens).toBeGreaterThan(0);
    });

    it("takes an empty model's name where the deployment is in the address, as Azure's guide has it", async () => {
      const deployment = 'text';
      const options = { endpoint: server.url, apiVersion: '2024-10-21', apiKey: 'sk-alice' };
      const deployed = new AzureOpenAI({ ...options, deployment });
      const completion = await deployed.chat.completions.create({ model: '', messages });

      expect(completion.choices[0]?.message.content).toBe(TEXT);
    });

    it('lists the models', async () => {
      const ids = [];
      for await (const { id } of client.models.list()) ids.push(id);

      expect(ids).toContain('demo');
    });

    it('throws an APIError where a stream breaks', async () => {
      const model = 'error-mid';
      const stream = await client.chat.completions.create({ model, messages, stream: true });
      let text = '';
      const reading = (async () => {
        for await (const { choices } of stream) text += choices[0]?.delta.content ?? '';
      })();

      await expect(reading).rejects.toBeInstanceOf(APIError);
      expect(text).toBe(TEXT_TOKENS.slice(0, 3).join(''));
    });

    it('closes the upstream when it aborts', async () => {
      const model = 'stall';
      const stream = await client.chat.completions.create({ model, messages, stream: true });
      const request = await upstream.next();
      await stream[Symbol.asyncIterator]().next();
      stream.controller.abort();

      await request.closed;
      expect(request.closedEarly).toBe(true);
    });

    it('knows a wrong key, and a model that is not there', async () => {
      const refused = clientOf('sk-mallory').chat.completions.create({ model: 'text', messages });
      await expect(refused).rejects.toBeInstanceOf(AuthenticationError);

      const unknown = client.chat.completions.create({ model: 'demo/nothing', messages });
      await expect(unknown).rejects.toBeInstanceOf(NotFoundError);
    });
  });

  describe("Azure's v1 address", () => {
    it('serves the plain client, and its list of models', async () => {
      const baseURL = `${server.url}/openai/v1`;
      const plain = new OpenAI({ baseURL, apiKey: 'sk-alice', logLevel: 'off' });

      const { choices } = await plain.chat.completions.create({ model: 'text', messages });
      expect(choices[0]?.message.content).toBe(TEXT);
      expect(await plain.models.retrieve('demo/echo')).toMatchObject({ id: 'demo/echo' });
    });
  });

  it('tells those who want the Responses API what to call', async () => {
    const plain = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'sk-alice', logLevel: 'off' });
    const error: unknown = await plain.responses
      .create({ model: 'text', input: 'hi' })
      .catch((reason: unknown) => reason);

    expect(error).toBeInstanceOf(NotFoundError);
    expect((error as openai.APIError).message).toContain('/v1/chat/completions');
    expect(upstream.requests).toEqual([]);
  });
});
