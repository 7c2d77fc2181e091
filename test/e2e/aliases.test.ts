import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app.js';
import { createConfigFile, type TestConfigFile } from '../support/config-file.js';
import { open } from '../support/http.js';
import { answerOf, ask, stateOf, runIdOf, type AskOptions } from '../support/runs.js';
import { SilentServer } from '../support/silent-server.js';
import { startUpstream, TEXT, type Upstream } from '../support/upstream/index.js';

let upstream: Upstream;
let silent: SilentServer;
let file: TestConfigFile;
let app: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  silent = await new SilentServer().listen();
  const once = { retry: { attempts: 1 } };
  file = await createConfigFile({
    providers: {
      one: {
        type: 'openai',
        base_url: `${upstream.url}/v1`,
        api_key: '${ONE_KEY}',
        models: ['text', 'echo'],
        timeouts: { idle_ms: 1000 },
      },
      two: { type: 'openai', base_url: `${upstream.url}/two/v1`, models: ['text'] },
      blue: { type: 'azure', base_url: upstream.url, api_key: 'blue-key', models: ['text'] },
      red: {
        type: 'azure',
        base_url: upstream.url,
        api_key: 'red-key',
        api_version: '2024-10-21',
        models: ['text'],
      },
      box: { type: 'ollama', base_url: upstream.url, models: ['text'] },
      mute: {
        type: 'openai',
        base_url: `${silent.url}/v1`,
        models: ['text'],
        timeouts: { connect_ms: 200 },
      },
      play: { type: 'demo' },
    },
    models: {
      fast: {
        targets: ['two', 'one'],
        system_prompt: 'Answer in one word.',
        defaults: { temperature: 0.2, max_tokens: 100 },
        pinned: { top_p: 0.5, reasoning_effort: 'low' },
      },
      plain: { targets: ['one/text'], system_prompt: '' },
      boxed: { targets: ['box'], pinned: { temperature: 0, max_tokens: 7 } },
      'x-*': { targets: ['two/*'] },
      stalling: { targets: ['two/stall'], timeouts: { idle_ms: 200 }, ...once },
      'first-*': { targets: ['two/wait-first'], timeouts: { first_token_ms: 200 }, ...once },
      brief: { targets: ['two/slow'], timeouts: { total_ms: 400 }, ...once },
      'mute-too': { targets: ['mute'], timeouts: { connect_ms: 100 }, ...once },
      unread: { targets: ['two/big_bytes-20000000'], timeouts: { write_ms: 200 } },
      echo: { targets: ['play/echo'] },
    },
  });
  app = await startApp({
    CONFIG_FILE: file.path,
    ONE_KEY: 'key-of-one',
    DEFAULT_MODEL: 'fast',
    SYSTEM_PROMPT: 'Be kind.',
    CONNECT_TIMEOUT_MS: 10_000,
  });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await app.close();
  await upstream.close();
  silent.close();
  await file.remove();
});

/** What the upstream is sent for a request. */
async function sentFor(model: string, options?: AskOptions) {
  await ask(app.port, model, options).ended;
  return upstream.next();
}

async function eventsFor(model: string): Promise<string> {
  const call = ask(app.port, model);
  await call.ended;
  return call.text();
}

describe('providers of the file', () => {
  it.each([
    ['one', '/v1/chat/completions', { authorization: 'Bearer key-of-one' }],
    ['two', '/two/v1/chat/completions', { authorization: 'Bearer none' }],
    ['blue', '/openai/v1/chat/completions', { 'api-key': 'blue-key' }],
    [
      'red',
      '/openai/deployments/text/chat/completions?api-version=2024-10-21',
      { 'api-key': 'red-key' },
    ],
    ['box', '/api/chat', {}],
  ])('have their own address and key: %s', async (name, path, headers) => {
    const sent = await sentFor(name);
    expect(sent.path).toBe(path);
    expect(sent.headers).toMatchObject(headers);
    expect(sent.body.model).toBe('text');
  });

  it('lead to any of their models, listed or not', async () => {
    expect((await sentFor('two/split')).model).toBe('split');
  });
});

describe('an alias', () => {
  it('leads to its first target, with its prompt and parameters', async () => {
    const { path, body } = await sentFor('fast', { body: { seed: 1 } });
    expect(path).toBe('/two/v1/chat/completions');
    expect(body).toMatchObject({
      model: 'text',
      messages: [
        { role: 'system', content: 'Answer in one word.' },
        { role: 'user', content: 'hi' },
      ],
      temperature: 0.2,
      max_tokens: 100,
      top_p: 0.5,
      reasoning_effort: 'low',
      seed: 1,
    });
  });

  it('lets the request say otherwise of its defaults and its prompt, not of what it pins', async () => {
    const messages = [
      { role: 'system', content: 'Be long.' },
      { role: 'user', content: 'hi' },
    ];
    const parameters = { temperature: 1, top_p: 1, max_completion_tokens: 9 };
    const { body } = await sentFor('fast', { body: { messages, ...parameters } });
    expect(body).toMatchObject({ messages, temperature: 1, top_p: 0.5, max_completion_tokens: 9 });
    expect(body).not.toHaveProperty('max_tokens');
  });

  it('with an empty prompt has none, where other models have the common one', async () => {
    const [first] = (await sentFor('one/text')).body.messages!;
    expect(first).toEqual({ role: 'system', content: 'Be kind.' });
    expect((await sentFor('plain')).body.messages).toEqual([{ role: 'user', content: 'hi' }]);
  });

  it("pins against Ollama's own parameters too", async () => {
    const options = { temperature: 1, num_predict: 900, num_ctx: 4096 };
    const { body } = await sentFor('boxed', { path: '/api/chat', body: { options } });
    expect(body.options).toEqual({ temperature: 0, num_predict: 7, num_ctx: 4096 });
  });

  it('with a * hands on what it matched', async () => {
    const { path, model } = await sentFor('x-reasoning_tokens-5');
    expect({ path, model }).toEqual({
      path: '/two/v1/chat/completions',
      model: 'reasoning_tokens-5',
    });
  });

  it('may be the default model', async () => {
    const call = open({ port: app.port, path: '/v1/chat/stream?q=hi' });
    await call.ended;
    expect((await upstream.next()).body).toMatchObject({ model: 'text', temperature: 0.2 });
    expect((await sentFor('verbatim')).path).toBe('/two/v1/chat/completions');
  });

  it('answers in every dialect', async () => {
    const paths = ['/v1/chat/completions', '/v1/messages', '/api/chat'];
    for (const path of paths) {
      const body = { stream: false, max_tokens: 50 };
      const { body: answer } = await answerOf<object>(ask(app.port, 'fast', { path, body }));
      expect(JSON.stringify(answer)).toContain(JSON.stringify(TEXT));
      expect((await upstream.next()).body).toMatchObject({ temperature: 0.2, top_p: 0.5 });
    }
  });

  it('counts its prompt where the provider counted nothing', async () => {
    upstream.script('text', async (exchange) => {
      exchange.role();
      await exchange.tokens(['Hi']);
      exchange.finish();
      exchange.end();
    });
    const usageOf = async (model: string) => {
      const call = ask(app.port, model);
      await call.ended;
      const { body } = await stateOf(app.port, await runIdOf(call));
      return Number(body.usage?.prompt_tokens);
    };
    expect(await usageOf('fast')).toBeGreaterThan(await usageOf('plain'));
  });
});

describe('deadlines', () => {
  it.each([
    ["an alias's idle deadline", 'stalling', 'timeout_idle'],
    ["an alias's first-token deadline", 'first-one', 'timeout_first_token'],
    ["an alias's total deadline", 'brief', 'timeout_total'],
    ["an alias's connect deadline", 'mute-too', 'timeout_connect'],
    ["a provider's idle deadline", 'one/stall', 'timeout_idle'],
    ["a provider's connect deadline", 'mute', 'timeout_connect'],
  ])('%s holds', async (_, model, code) => {
    expect(await eventsFor(model)).toContain(`"code":"${code}"`);
  });

  it("an alias's deadline for a client that does not read holds", async () => {
    const call = ask(app.port, 'unread');
    await call.pause();
    // Until then it is Sluice's own response that holds most of the answer.
    await sleep(1_500);
    await call.resume();
    expect(['truncated', 'reset']).toContain(await call.ended);
  });
});

describe('the list of models', () => {
  const ids = [
    ...['fast', 'plain', 'boxed', 'stalling', 'brief', 'mute-too', 'unread', 'echo'],
    ...['one', 'one/text', 'one/echo', 'two', 'two/text', 'blue', 'blue/text', 'red', 'red/text'],
    ...['box', 'box/text', 'mute', 'mute/text', 'play'],
  ];

  async function get<T>(path: string, headers?: Record<string, string>) {
    return (await answerOf<T>(open({ port: app.port, path, headers }))).body;
  }

  it("has aliases first in OpenAI's form, and who answers for them", async () => {
    const { data } = await get<{ data: { id: string; owned_by: string }[] }>('/v1/models');
    expect(data.slice(0, ids.length).map(({ id }) => id)).toEqual(ids);
    expect(data.find(({ id }) => id === 'fast')?.owned_by).toBe('two');
    expect(await get('/v1/models/fast')).toMatchObject({ id: 'fast', object: 'model' });
    expect(await get('/v1/models/x-1')).toMatchObject({ id: 'x-1', owned_by: 'two' });
  });

  it("has them in Anthropic's form", async () => {
    const headers = { 'anthropic-version': '2023-06-01' };
    const { data } = await get<{ data: { id: string }[] }>('/v1/models', headers);
    expect(data.slice(0, ids.length).map(({ id }) => id)).toEqual(ids);
  });

  it("has them in Ollama's form", async () => {
    const { models } = await get<{ models: { name: string; details: object }[] }>('/api/tags');
    expect(models.slice(0, ids.length).map(({ name }) => name)).toEqual(ids);
    expect(models[0]!.details).toMatchObject({ family: 'two' });
  });

  it('says of an unknown demo model that it is not there, and of an alias that it is', async () => {
    const show = (model: string) =>
      answerOf(open({ port: app.port, path: '/api/show', body: { model } }));
    expect((await show('play/nothing')).status).toBe(404);
    expect((await show('echo:latest')).status).toBe(200);
  });
});
