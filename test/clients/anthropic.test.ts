import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import Anthropic, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from '@anthropic-ai/sdk';
import { startApp, type RunningApp } from '../support/app.js';
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

const messages = [{ role: 'user' as const, content: 'hi' }];
const request = { max_tokens: 1024, messages };

const tools = TOOL_CALLS.map(({ name }) => ({
  name,
  input_schema: { type: 'object' as const, properties: {} },
}));

/** Long enough for several heartbeats. */
const SILENCE_MS = 400;
const HEARTBEAT_MS = 50;

let upstream: Upstream;
let server: RunningApp;
let client: Anthropic;

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
    HEARTBEAT_MS,
    COMMIT_AFTER_MS: 20,
  });
  client = clientOf(server);
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await upstream.close();
});

function clientOf({ url }: RunningApp, options: object = { apiKey: 'any' }): Anthropic {
  return new Anthropic({ baseURL: url, logLevel: 'off', ...options });
}

function textOf({ content }: Anthropic.Message): string {
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

describe.each(['openai', 'azure', 'ollama'])("Anthropic's SDK through Sluice to %s", (at) => {
  it.each([
    ['text', TEXT],
    ['nasty', NASTY],
  ])('streams %s', async (play, text) => {
    const stream = client.messages.stream({ ...request, model: `${at}/${play}` });
    let out = '';
    stream.on('text', (piece) => (out += piece));
    const message = await stream.finalMessage();

    expect(out).toBe(text);
    expect(textOf(message)).toBe(text);
    expect(message).toMatchObject({ role: 'assistant', stop_reason: 'end_turn' });
  });

  it('answers a text at once, with its usage', async () => {
    const model = `${at}/text`;
    const message = await client.messages.create({ ...request, model });
    const streamed = await client.messages.stream({ ...request, model }).finalMessage();

    for (const { content, usage, stop_reason, model: generatedBy } of [message, streamed]) {
      expect(content).toEqual([{ type: 'text', text: TEXT }]);
      expect(stop_reason).toBe('end_turn');
      expect(generatedBy).toBe(model);
      expect(usage).toMatchObject({
        input_tokens: PROMPT_TOKENS,
        output_tokens: TEXT_TOKENS.length,
      });
    }
  });

  it('shows reasoning as thinking', async () => {
    const stream = client.messages.stream({ ...request, model: `${at}/reasoning` });
    const { content } = await stream.finalMessage();
    expect(content).toEqual([
      { type: 'thinking', thinking: REASONING, signature: '' },
      { type: 'text', text: TEXT },
    ]);
  });

  it('puts parallel tool calls together, streamed and not', async () => {
    const asked = { ...request, model: `${at}/tools`, tools };
    const stream = client.messages.stream(asked);
    const shown: Anthropic.ContentBlock[] = [];
    stream.on('contentBlock', (block) => shown.push(block));
    const streamed = await stream.finalMessage();
    const whole = await client.messages.create(asked);

    const calls = TOOL_CALLS.map((call) => ({
      type: 'tool_use',
      name: call.name,
      input: JSON.parse(call.arguments) as unknown,
    }));
    for (const { content, stop_reason } of [streamed, whole, { ...streamed, content: shown }]) {
      expect(stop_reason).toBe('tool_use');
      expect(content).toMatchObject(calls);
      expect(new Set(content.map((block) => 'id' in block && block.id)).size).toBe(calls.length);
    }
  });

  it('throws an APIError where a stream breaks, after what came before', async () => {
    for (const play of ['rst-mid', 'eof-mid', 'error-mid', 'malformed']) {
      const stream = client.messages.stream({ ...request, model: `${at}/${play}` });
      let out = '';
      stream.on('text', (piece) => (out += piece));
      const error = await stream.finalMessage().catch((thrown: unknown) => thrown);

      expect(error).toBeInstanceOf(APIError);
      expect(error).toMatchObject({ type: 'api_error' });
      expect((error as APIError).requestID).toBeTruthy();
      expect((error as APIError).errorCode).toMatch(/^provider_/);
      expect(out).toBe(TEXT_TOKENS.slice(0, 3).join(''));
    }
  });

  it('closes the upstream when it aborts, streamed and not', async () => {
    const stream = client.messages.stream({ ...request, model: `${at}/stall` });
    const aborted = new Promise((resolve) => stream.once('abort', resolve));
    const streamed = await upstream.next();
    await new Promise((resolve) => stream.once('text', resolve));
    stream.abort();
    await Promise.all([aborted, streamed.closed]);
    expect(streamed.closedEarly).toBe(true);

    const controller = new AbortController();
    const asked = { ...request, model: `${at}/stall` };
    const answer = client.messages.create(asked, { signal: controller.signal });
    answer.catch(() => undefined);
    const whole = await upstream.next();
    controller.abort();
    await whole.closed;
    expect(whole.closedEarly).toBe(true);
  });

  it('survives silences before the first token and between tokens', async () => {
    const model = `${at}/text_tokens-2_wait-${SILENCE_MS}_ms-${SILENCE_MS}`;
    const { data: stream, response } = await client.messages
      .create({ ...request, model, stream: true })
      .withResponse();
    let out = '';
    for await (const event of stream) {
      if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') {
        out += event.delta.text;
      }
    }
    expect(out).toBe(TEXT_TOKENS.slice(0, 2).join(''));
    expect(response.headers.get('sluice-run-id')).toMatch(/^run_/);
  });
});

describe("Anthropic's SDK", () => {
  it('sees a refusal', async () => {
    const asked = { ...request, model: 'refusal' };
    const message = await client.messages.create(asked);
    expect(textOf(message)).toBe(REFUSAL);
    expect(message.stop_reason).toBe('refusal');
  });

  it('sends what a model of OpenAI understands', async () => {
    await client.messages.create({
      model: 'openai/text',
      max_tokens: 7,
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      messages,
      tools: tools.slice(0, 1),
      tool_choice: { type: 'any' },
      thinking: { type: 'enabled', budget_tokens: 1024 },
    });
    const { body } = await upstream.next();
    expect(body).toEqual({
      model: 'text',
      messages: [{ role: 'system', content: 'Be brief.' }, ...messages],
      max_completion_tokens: 7,
      reasoning_effort: 'low',
      tools: [
        {
          type: 'function',
          function: { name: tools[0]!.name, parameters: tools[0]!.input_schema },
        },
      ],
      tool_choice: 'required',
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it('goes through a turn with a tool', async () => {
    const asked = { ...request, model: 'demo/tools', tools };
    const first = await client.messages.create(asked);
    const use = first.content.find((block) => block.type === 'tool_use')!;
    const second = await client.messages
      .stream({
        ...asked,
        messages: [
          ...messages,
          { role: 'assistant', content: first.content },
          {
            role: 'user',
            content: [{ type: 'tool_result', tool_use_id: use.id, content: '21 °C' }],
          },
        ],
      })
      .finalMessage();

    expect(use.name).toBe(tools[0]!.name);
    expect(textOf(second)).toContain('21 °C');
    expect(second.stop_reason).toBe('end_turn');
  });

  it('counts the tokens of a request before it is sent', async () => {
    const asked = { model: 'demo', messages };
    const { input_tokens: alone } = await client.messages.countTokens(asked);
    const { input_tokens: more } = await client.messages.countTokens({
      ...asked,
      system: 'You are a helpful assistant.',
      tools,
    });
    expect(alone).toBe(1 + 3 + 3);
    expect(more).toBeGreaterThan(alone + 20);
  });

  it('lists the models and finds each again by its name, slashes included', async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);

    expect(ids).toEqual(expect.arrayContaining(['openai/gpt-4o-mini', 'azure/text', 'demo/echo']));
    for (const id of ids) {
      expect(await client.models.retrieve(id)).toMatchObject({
        id,
        type: 'model',
        display_name: id,
      });
    }
    await expect(client.models.retrieve('demo/nothing')).rejects.toBeInstanceOf(NotFoundError);
  });

  it("knows a provider's rate limit, and how long to wait", async () => {
    const asked = { ...request, model: 'status-429' };
    const error = await client.messages
      .create({ ...asked, stream: true }, { maxRetries: 0 })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RateLimitError);
    expect(error).toMatchObject({ type: 'rate_limit_error', errorCode: 'provider_rate_limited' });
    expect((error as RateLimitError).headers.get('retry-after')).toBe('7');
  });

  it('retries what may pass, and not what will not', async () => {
    upstream.script('busy', (x) => {
      const isFirst = upstream.requests.length === 1;
      if (isFirst) x.error(429, {}, { 'retry-after-ms': '10' });
      else x.text('back');
      if (!isFirst) x.complete();
    });
    const message = await client.messages.create({ ...request, model: 'busy' });
    expect(textOf(message)).toBe('back');
    expect(upstream.requests).toHaveLength(2);

    upstream.reset();
    const refused = client.messages.create({ ...request, model: 'status-401' });
    await expect(refused).rejects.toBeInstanceOf(InternalServerError);
    expect(upstream.requests).toHaveLength(1);
  });

  it('is told what is wrong with a request', async () => {
    const asked = { ...request, model: 'demo', messages: [] };
    const error = await client.messages.create(asked).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ type: 'invalid_request_error' });
    expect((error as APIError).apiMessage).toContain('messages: ');
  });
});

it('sends its key in either header where keys are on', async () => {
  const guarded = await startApp({ API_KEYS: 'alice:sk-alice', DEMO: 'on' });
  try {
    const ask = (options: object) =>
      clientOf(guarded, options).messages.create({ ...request, model: 'demo/echo' });

    for (const options of [{ apiKey: 'sk-alice' }, { authToken: 'sk-alice', apiKey: null }]) {
      expect(textOf(await ask(options))).toBe('hi');
    }
    await expect(ask({ apiKey: 'sk-mallory' })).rejects.toBeInstanceOf(AuthenticationError);
  } finally {
    await guarded.close();
  }
});
