import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DEMO_MODELS } from '../../src/providers/demo/demo-models.js';
import { startApp, type RunningApp } from '../support/app.js';
import type { HttpCall } from '../support/http.js';
import {
  completionResponse,
  streamResponse,
  type StreamResponse,
} from '../support/openai-schema.js';
import { describeRecorded, recordings } from '../support/recorded.js';
import { answerOf, ask, eventsOf, type AskOptions } from '../support/runs.js';
import { answers } from '../support/upstream/answers.scenarios.js';
import { framings } from '../support/upstream/framing.scenarios.js';
import { startUpstream, type Scenario, type Upstream } from '../support/upstream/index.js';

const AUDIO = { id: 'audio_1', data: 'UklGRg==', transcript: 'Hi' };

/** What services send that OpenAI's schema does not have. */
const ODDITIES: Record<string, object[]> = {
  'odd-nulls': [
    {
      system_fingerprint: null,
      service_tier: 'on_demand',
      choices: [
        {
          delta: { role: null, content: 'Hi', tool_calls: null, function_call: null },
          logprobs: { content: [] },
        },
      ],
    },
    { system_fingerprint: null, choices: [{ delta: {}, finish_reason: 'eos' }] },
    {
      choices: [],
      usage: { prompt_tokens: 1, completion_tokens: 1, prompt_tokens_details: null },
    },
  ],
  'odd-parts': [
    {
      id: 7,
      created: 1.5,
      choices: [
        {
          index: 0,
          delta: { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'Hm' }] }] },
        },
      ],
    },
    { choices: [{ index: 0, delta: { content: [{ type: 'text', text: 'Hi' }] } }] },
    { choices: [{ index: 0, delta: { content: '' }, finish_reason: 'end_turn' }] },
  ],
  'odd-calls': [
    {
      choices: [
        { delta: { tool_calls: [{ id: 'a', function: { name: 'f', arguments: { b: 1 } } }] } },
      ],
    },
    { choices: [{ delta: { tool_calls: null }, finish_reason: 'tool_use' }] },
  ],
  'odd-function': [
    { choices: [{ index: 0, delta: { function_call: { name: 'f', arguments: '{' } } }] },
    {
      choices: [{ delta: { function_call: { arguments: '}' } }, finish_reason: 'function_call' }],
    },
  ],
  'odd-audio': [
    { choices: [{ index: 0, delta: { role: 'assistant', content: null } }] },
    { choices: [{ index: 0, delta: { audio: AUDIO }, finish_reason: 'stop' }] },
  ],
};

const SIZES: Record<string, string> = {
  slow: 'slow_ms-2',
  flood: 'flood_tokens-500',
  big: 'big_bytes-100000',
};
const names = (scenarios: Record<string, Scenario>) =>
  Object.keys(scenarios).map((name) => SIZES[name] ?? name);
const SCENARIOS = [...names(answers), ...names(framings)];
const OPENAI_ALIKE = ['openai', 'azure', 'azure v1'];

let upstream: Upstream;
let server: RunningApp;
let v1: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  const azure = {
    AZURE_OPENAI_ENDPOINT: upstream.url,
    AZURE_OPENAI_API_KEY: 'azure-key',
    AZURE_OPENAI_DEPLOYMENT: 'text',
  };
  server = await startApp({
    ...azure,
    AZURE_OPENAI_API_VERSION: '2024-10-21',
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OLLAMA_BASE_URL: upstream.url,
    DEMO: 'on',
  });
  v1 = await startApp(azure);
  for (const { name, bytes } of recordings) {
    upstream.script(name, (exchange) => {
      exchange.raw(bytes);
      exchange.end();
    });
  }
  for (const [name, chunks] of Object.entries(ODDITIES)) {
    upstream.script(name, (exchange) => {
      for (const chunk of chunks) exchange.chunk(chunk);
      exchange.done();
      exchange.end();
    });
  }
});
afterAll(async () => {
  await server.close();
  await v1.close();
  await upstream.close();
});

function complete(target: string, scenario: string, body: object): HttpCall {
  const [provider = ''] = target.split(' ');
  const { port } = target === 'azure v1' ? v1 : server;
  return askForChunks(port, `${provider}/${scenario}`, body);
}

function askForChunks(port: number, model: string, body: object): HttpCall {
  const options: AskOptions = { path: '/v1/chat/completions', body };
  return ask(port, model, options);
}

/** What is streamed, every chunk of it being as the schema says. */
function framesOf(call: HttpCall): { chunks: StreamResponse[]; rest: string[] } {
  const data = eventsOf(call).map((event) => event.data);
  const isChunk = (json: string) => json !== '[DONE]' && !json.startsWith('{"error"');
  return {
    chunks: data.filter(isChunk).map((json) => streamResponse.parse(JSON.parse(json))),
    rest: data.filter((json) => !isChunk(json)),
  };
}

async function expectStream(call: HttpCall, includeUsage: boolean, choices = 1): Promise<void> {
  expect(await call.ended).toBe('complete');
  expect(await call.status).toBe(200);
  const { chunks, rest } = framesOf(call);
  expect(rest).toEqual(['[DONE]']);
  expect(eventsOf(call).at(-1)!.data).toBe('[DONE]');
  expectOneIdentity(chunks);

  const withUsage = chunks.filter((chunk) => chunk.usage != null);
  expect(withUsage).toEqual(includeUsage ? [chunks.at(-1)] : []);
  expect(chunks.filter((chunk) => chunk.choices.length === 0)).toEqual(withUsage);

  const finishing = chunks.flatMap((chunk) =>
    chunk.choices.filter(({ finish_reason }) => finish_reason !== null),
  );
  expect(finishing.map(({ index }) => index).sort()).toEqual(choices === 1 ? [0] : [0, 1]);
  for (const { delta } of finishing) {
    const { role, content, ...others } = delta;
    expect(content ?? '').toBe('');
    expect(Object.values(others).filter((value) => value && typeof value === 'object')).toEqual([]);
  }
}

function expectOneIdentity(chunks: StreamResponse[]): void {
  expect(new Set(chunks.map(({ id, created }) => `${id} ${created}`)).size).toBe(1);
}

async function expectAllForms(target: string, scenario: string): Promise<void> {
  const stream = { stream: true };
  const stream_options = { include_usage: true };
  await expectStream(complete(target, scenario, stream), false);
  await expectStream(complete(target, scenario, { ...stream, stream_options }), true);
  const { status, body } = await answerOf<object>(complete(target, scenario, {}));
  expect(status).toBe(200);
  completionResponse.parse(body);
}

describe.each([...OPENAI_ALIKE, 'ollama'])("OpenAI's schema of an answer of %s", (target) => {
  const single = SCENARIOS.filter((name) => name !== 'choices-2' || target === 'ollama');

  it.each(single)('holds for %s', async (scenario) => {
    await expectAllForms(target, scenario);
  });
});

describe.each(OPENAI_ALIKE)("OpenAI's schema of two answers of %s", (target) => {
  it.each([true, false])('holds, usage asked for: %s', async (include_usage) => {
    const body = { stream: true, n: 2, stream_options: { include_usage } };
    await expectStream(complete(target, 'choices-2', body), include_usage, 2);
  });

  it('holds for both as one object', async () => {
    const { body } = await answerOf<object>(complete(target, 'choices-2', { n: 2 }));
    expect(completionResponse.parse(body).choices.map(({ index }) => index)).toEqual([0, 1]);
  });

  it.each(SCENARIOS.filter((name) => name !== 'choices-2'))(
    'holds for %s, which has but one, until that is told',
    async (scenario) => {
      const call = complete(target, scenario, { stream: true, n: 2 });
      await call.ended;
      const { chunks, rest } = framesOf(call);
      expectOneIdentity(chunks);
      expect(rest).toEqual([expect.stringContaining('"code":"provider_truncated"')]);
    },
  );
});

describe("OpenAI's schema of what the demo provider answers", () => {
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
  const endless = ['slow', 'stall', 'slow-start'];
  const failing = ['error', 'error-mid', 'truncate', 'rate-limit'];
  const well = Object.keys(DEMO_MODELS).filter((name) => ![...endless, ...failing].includes(name));

  const forms = async (name: string) => {
    const ask = (body: object) => askForChunks(server.port, `demo/${name}`, { tools, ...body });
    const stream_options = { include_usage: true };
    await Promise.all([
      expectStream(ask({ stream: true }), false),
      expectStream(ask({ stream: true, stream_options }), true),
      answerOf(ask({})).then(({ body }) => completionResponse.parse(body)),
    ]);
  };
  const beginning = async (name: string) => {
    const call = askForChunks(server.port, `demo/${name}`, { stream: true });
    await call.until(/"content":"[^"]/, 12_000);
    call.destroy();
    const { chunks } = framesOf(call);
    expect(chunks.length).toBeGreaterThan(0);
    expectOneIdentity(chunks);
  };
  const failure = async (name: string) => {
    const call = askForChunks(server.port, `demo/${name}`, { stream: true });
    await call.ended;
    const { chunks, rest } = framesOf(call);
    expectOneIdentity(chunks);
    expect(rest).toEqual([expect.stringMatching(/^\{"error":/)]);
  };

  it('holds for all its models', async () => {
    await Promise.all([
      ...well.map(forms),
      ...endless.map(beginning),
      ...['error-mid', 'truncate'].map(failure),
    ]);
  });
});

describe("OpenAI's schema of what services do otherwise", () => {
  it.each(Object.keys(ODDITIES))('holds for %s', async (scenario) => {
    await expectAllForms('openai', scenario);
  });
});

describeRecorded("OpenAI's schema of a recorded stream", ({ name }) => {
  it.each(OPENAI_ALIKE)('holds through %s', async (target) => {
    await expectAllForms(target, name);
  });
});

it('sends content that has no event of its own when it comes, in every format', async () => {
  let goOn = () => {};
  const seen = new Promise<void>((resolve) => (goOn = resolve));
  upstream.script('audio-alone', async (exchange) => {
    exchange.role();
    exchange.chunk({ choices: [{ index: 0, delta: { audio: AUDIO }, finish_reason: null }] });
    await seen;
    exchange.complete();
  });
  const chunks = askForChunks(server.port, 'openai/audio-alone', { stream: true });
  const events = ask(server.port, 'openai/audio-alone');
  await Promise.all([chunks.until('UklGRg=='), events.until('UklGRg==')]);
  goOn();

  await expectStream(chunks, false);
  await events.ended;
  expect(eventsOf(events).map(({ event }) => event)).toEqual(['start', 'delta', 'done']);
  expect(JSON.parse(eventsOf(events)[1]!.data)).toEqual({ audio: AUDIO });
});
