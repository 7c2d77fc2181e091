import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { createConfigFile, type TestConfigFile } from '../support/config-file.js';
import { open, type HttpCall } from '../support/http.js';
import { answerOf, type Failure } from '../support/runs.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

const CONFIG = `
models:
  fast: { targets: [openai/text] }
  hidden: { targets: [openai/text] }
keys:
  - { name: all, key: sk-all }
  - { name: some, key: sk-some, models: [fast, 'gpt-*', openai/text] }
  - { name: default, key: sk-default, models: [openai/text_tokens-7] }
  - { name: none, key: sk-none, models: [] }
`;

const MESSAGES = [{ role: 'user', content: 'hi' }];

interface Route {
  path: string;
  body: (model?: string) => object;
  /** What a refusal looks like there. */
  refusal: (message: string) => unknown;
}

const openaiRefusal = (message: string) => ({
  error: { message, type: 'permission_error', param: 'model', code: 'permission_denied' },
});
const anthropicRefusal = (message: string) => ({
  type: 'error',
  error: {
    type: 'permission_error',
    message,
    details: { error_code: 'permission_denied' },
  },
  request_id: expect.any(String),
});
const ollamaRefusal = (message: string) => ({ error: message });
const chatBody = (model?: string) => ({ model, messages: MESSAGES });

const ROUTES: Route[] = [
  { path: '/v1/chat/stream', body: chatBody, refusal: openaiRefusal },
  { path: '/v1/chat/completions', body: chatBody, refusal: openaiRefusal },
  { path: '/openai/v1/chat/completions', body: chatBody, refusal: openaiRefusal },
  {
    path: '/v1/messages',
    body: (model) => ({ model, max_tokens: 9, messages: MESSAGES }),
    refusal: anthropicRefusal,
  },
  { path: '/v1/messages/count_tokens', body: chatBody, refusal: anthropicRefusal },
  { path: '/api/chat', body: chatBody, refusal: ollamaRefusal },
  { path: '/api/generate', body: (model) => ({ model, prompt: 'hi' }), refusal: ollamaRefusal },
  // Without a prompt it would only load the model.
  { path: '/api/generate', body: (model) => ({ model }), refusal: ollamaRefusal },
  { path: '/api/show', body: (model) => ({ model }), refusal: ollamaRefusal },
  {
    path: '/v1/chat/ui',
    body: (model) => ({
      id: `chat ${model}`,
      model,
      messages: [{ id: 'm', role: 'user', parts: [{ type: 'text', text: 'hi' }] }],
    }),
    refusal: (message) => message,
  },
];

let upstream: Upstream;
let file: TestConfigFile;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  file = await createConfigFile(CONFIG);
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OPENAI_MODEL: 'text_tokens-7',
    CONFIG_FILE: file.path,
  });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await upstream.close();
  await file.remove();
});

const as = (key: string) => ({ authorization: `Bearer sk-${key}` });

function post(key: string, path: string, body: object): HttpCall {
  return open({ port: server.port, path, headers: as(key), body });
}

async function get<T>(key: string, path: string, headers: Record<string, string> = {}) {
  return answerOf<T>(open({ port: server.port, path, headers: { ...as(key), ...headers } }));
}

describe.each(ROUTES)('POST $path', ({ path, body, refusal }) => {
  it.each([
    ['hidden', 'an alias that leads where an allowed one leads'],
    ['text', 'another name of an allowed model'],
    ['openai', 'the provider of an allowed model'],
    ['openai/text2', 'a name that begins like an allowed one'],
    ['mygpt-4', 'a name that ends like an allowed one'],
    ['no-such-provider/model', 'a model that there is not'],
  ])('refuses %s, %s, before anything starts', async (model) => {
    const answer = await answerOf<unknown>(post('some', path, body(model)));
    expect(answer.status).toBe(403);
    expect(answer.body).toEqual(refusal(`This key may not use the model "${model}".`));
    expect(answer.headers['x-should-retry']).toBe('false');
    expect(answer.headers['sluice-run-id']).toBeUndefined();
    expect(upstream.requests).toEqual([]);
  });

  it.each(['fast', 'gpt-4o', 'gpt-', 'openai/text'])(
    'takes %s, which is allowed',
    async (model) => {
      expect((await answerOf(post('some', path, body(model)))).status).not.toBe(403);
    },
  );
});

describe('a request without a model', () => {
  const routes = ROUTES.filter(({ path }) => !path.startsWith('/v1/messages'));

  it.each(routes)('is one for the default model at $path', async ({ path, body, refusal }) => {
    const { status, body: answer } = await answerOf<unknown>(post('some', path, body()));
    expect(status).toBe(403);
    expect(answer).toEqual(refusal('This key may not use the model "openai/text_tokens-7".'));
    expect(upstream.requests).toEqual([]);
    expect((await answerOf(post('default', path, body()))).status).toBe(200);
  });

  it('is one for DEFAULT_MODEL, by that name', async () => {
    const config = { OPENAI_BASE_URL: `${upstream.url}/v1`, CONFIG_FILE: file.path };
    const other = await startApp({ ...config, DEFAULT_MODEL: 'fast' });
    const ask = (key: string) => {
      const options = { port: other.port, path: '/v1/chat/completions', headers: as(key) };
      return answerOf(open({ ...options, body: { messages: MESSAGES } }));
    };
    expect((await ask('some')).status).toBe(200);
    expect((await ask('default')).body.error.message).toContain('"fast"');
    await other.close();
  });
});

it('refuses a model in the path of Azure and in the query of EventSource', async () => {
  const azure = '/openai/deployments/hidden/chat/completions?api-version=2024-10-21';
  expect((await answerOf(post('some', azure, { messages: MESSAGES }))).status).toBe(403);
  expect((await get('some', '/v1/chat/stream?q=hi&model=hidden')).status).toBe(403);
  expect((await get('some', '/v1/chat/stream?q=hi')).status).toBe(403);
  expect(upstream.requests).toEqual([]);
});

it('refuses everything where none is allowed', async () => {
  const { status } = await answerOf(post('none', '/v1/chat/completions', chatBody('fast')));
  expect(status).toBe(403);
});

describe('the models that are listed', () => {
  const ALL = ['fast', 'hidden', 'openai', 'openai/text_tokens-7'];

  it.each([
    ['all', ALL],
    ['some', ['fast']],
    ['default', ['openai/text_tokens-7']],
    ['none', []],
  ])('are those that %s may ask for, in every shape', async (key, names) => {
    type Listed = { data: { id: string }[] };
    for (const path of ['/v1/models', '/openai/v1/models']) {
      const { body } = await get<Listed>(key, path);
      expect(body.data.map(({ id }) => id)).toEqual(names);
    }
    const anthropic = await get<Listed>(key, '/v1/models', { 'anthropic-version': '2023-06-01' });
    expect(anthropic.body.data.map(({ id }) => id)).toEqual(names);
    const tags = await get<{ models: { name: string }[] }>(key, '/api/tags');
    expect(tags.body.models.map(({ name }) => name)).toEqual(names);
  });

  it('are, with those of other names that it may ask for, the only ones that are told of', async () => {
    expect((await get('some', '/v1/models/fast')).status).toBe(200);
    const hidden = await get<Failure>('some', '/v1/models/hidden');
    expect([hidden.status, hidden.body.error.code]).toEqual([404, 'model_not_found']);
    expect((await get('some', '/v1/models/gpt-4o')).status).toBe(200);
    expect((await get('some', '/v1/models/mygpt-4o')).status).toBe(404);
  });
});
