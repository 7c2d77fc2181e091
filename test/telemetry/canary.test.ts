import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Collector } from '../support/collector.js';
import { eventually } from '../support/eventually.js';
import { open, type OpenOptions } from '../support/http.js';
import { startInstance, type Instance } from '../support/instances.js';
import { Scrape } from '../support/metrics.js';
import { freePort } from '../support/free-port.js';
import { answerOf, runIdOf } from '../support/runs.js';
import {
  startUpstream,
  type Exchange,
  type Scenario,
  type Upstream,
} from '../support/upstream/index.js';

const KEY = 'sk-canary-of-the-caller';
const WRONG_KEY = 'sk-canary-of-a-stranger';
const UPSTREAM_KEY = 'sk-canary-of-upstream';
const AZURE_KEY = 'canary-of-azure';
const PROMPT = 'canary prompt 5417';
const COMPLETION = 'canary completion 9923';
const REASONING = 'canary reasoning 7731';
const ARGUMENT = 'canary argument 2086';
const INSTRUCTIONS = 'canary instructions 3308';

const LEVELS = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

const auth = { authorization: `Bearer ${KEY}` };
const messages = [{ role: 'user', content: PROMPT }];
const encoded = encodeURIComponent(PROMPT);

/** Answers, and goes wrong afterwards as `end` does; upstream quotes what it can. */
function answering(end: Scenario): Scenario {
  return async (exchange) => {
    exchange.role();
    exchange.text(COMPLETION);
    await exchange.sleep(20);
    await end(exchange);
  };
}

/** The key that Sluice came with; some services repeat it. */
function keyOf({ request: { headers } }: Exchange): string {
  return headers.authorization ?? String(headers['api-key']);
}

const SCENARIOS: Record<string, Scenario> = {
  good: answering((x) => x.complete()),
  reset: answering((x) => x.rst()),
  cut: answering((x) => x.end()),
  broken: answering((x) => x.chunk(`{"choices":[{"delta":{"content":"${COMPLETION}`)),
  failing: answering((x) => x.errorChunk({ message: `Not any more with ${keyOf(x)}` })),
  endless: answering(() => {}),
  calling: (x) => {
    x.role();
    x.reasoning(REASONING);
    x.tools([{ id: 'call_1', name: 'look', arguments: JSON.stringify({ at: ARGUMENT }) }]);
    x.complete();
  },
  // What an upstream says of a bad request is for its caller, but for the key.
  quoting: (x) => x.error(400, { message: `Not with ${keyOf(x)}` }),
};

type Asked = Omit<OpenOptions, 'port'>;

/** Requests of every API and format for one model. */
function requestsFor(model: string): Asked[] {
  const body = { model, messages };
  const query = `q=${encoded}&model=${encodeURIComponent(model)}`;
  const posts: [path: string, body: object][] = [
    ['/v1/chat/stream', body],
    ['/v1/chat/completions', body],
    ['/v1/chat/completions', { ...body, stream: true }],
    ['/v1/messages', { ...body, max_tokens: 9 }],
    ['/v1/messages', { ...body, max_tokens: 9, stream: true }],
    ['/v1/messages/count_tokens', body],
    ['/api/chat', body],
    ['/api/chat', { ...body, stream: false }],
    ['/api/generate', { model, prompt: PROMPT }],
    [
      '/v1/chat/ui',
      {
        id: 'chat',
        model,
        trigger: 'submit-message',
        messages: [{ id: '1', role: 'user', parts: [{ type: 'text', text: PROMPT }] }],
      },
    ],
    [`/openai/deployments/${model}/chat/completions`, { messages }],
  ];
  const formats = ['json', 'text', 'plain', 'openai', 'ui', 'anthropic', 'ollama'];
  return [
    ...posts.map(([path, body]) => ({ path, body, headers: auth })),
    ...formats.map((format) => ({
      path: `/v1/chat/stream?${query}&format=${format}`,
      headers: auth,
    })),
  ];
}

/** Requests that are refused before anything is asked upstream. */
const REFUSED: Asked[] = [
  ...['/v1/chat/stream', '/v1/chat/completions', '/v1/messages', '/api/chat', '/nowhere'].flatMap(
    (path): Asked[] => [
      { path, body: { messages }, headers: { authorization: `Bearer ${WRONG_KEY}` } },
      { path, body: { messages }, headers: { 'x-api-key': WRONG_KEY } },
      { path, body: { messages } },
      { path, body: { messages: PROMPT }, headers: auth },
      { path, body: { messages: [{ role: PROMPT, content: PROMPT }] }, headers: auth },
      {
        path,
        body: { messages: [{ role: 'user', content: { [PROMPT]: PROMPT } }] },
        headers: auth,
      },
      {
        path,
        body: `{"messages":[{"role":"user","content":"${PROMPT}"}]`,
        headers: { ...auth, 'content-type': 'application/json' },
      },
      {
        path,
        body: `{"${PROMPT}" x`,
        headers: { ...auth, 'content-type': 'application/json' },
      },
      { path, body: PROMPT, headers: { ...auth, 'content-type': 'text/plain' } },
    ],
  ),
  { path: `/v1/chat/stream?q=${encoded}&model=demo/none`, headers: auth },
  { path: `/v1/chat/stream?q=${encoded}&format=none`, headers: auth },
  { path: `/v1/chat/stream?q=${encoded}&ticket=${KEY}` },
  { path: `/v1/chat/stream?q=${encoded}&api_key=${KEY}` },
  { path: `/nowhere?q=${encoded}&key=${KEY}`, headers: auth },
  { path: `/v1/runs?status=${encoded}`, headers: auth },
  {
    path: '/v1/chat/stream',
    body: { messages },
    headers: { ...auth, 'sluice-on-disconnect': PROMPT },
  },
  { path: '/v1/chat/stream', body: { messages }, headers: { ...auth, 'last-event-id': PROMPT } },
];

let upstream: Upstream;
let collector: Collector;
let server: Instance | undefined;

beforeAll(async () => {
  upstream = await startUpstream();
  collector = await Collector.start();
});
afterEach(async () => {
  await server?.kill();
  collector.bodies.length = 0;
  upstream.reset();
});
afterAll(async () => {
  await upstream.close();
  await collector.close();
});

async function start(env: Record<string, string>): Promise<Instance> {
  for (const [model, scenario] of Object.entries(SCENARIOS)) upstream.script(model, scenario);
  return (server = await startInstance({
    API_KEYS: `alice:${KEY}`,
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OPENAI_API_KEY: UPSTREAM_KEY,
    OPENAI_MODEL: 'good',
    AZURE_OPENAI_ENDPOINT: upstream.url,
    AZURE_OPENAI_API_KEY: AZURE_KEY,
    AZURE_OPENAI_DEPLOYMENT: 'good',
    AZURE_OPENAI_API_VERSION: '2024-10-21',
    OLLAMA_BASE_URL: upstream.url,
    DEMO: 'on',
    IDLE_TIMEOUT_MS: '300',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: '20',
    ...env,
  }));
}

/** What a client is told of a failure: a refusal's body, or the last event of a stream that broke. */
function errorOf(status: number, text: string): string {
  if (status >= 400) return text;
  const at = text.lastIndexOf('"error"');
  return at === -1 ? '' : text.slice(text.lastIndexOf('\n', at) + 1);
}

/**
 * Every API and format, every failure at every provider, every refusal.
 * @returns all errors, and a ticket that was used
 */
async function everything(port: number): Promise<{ errors: string; ticket: string }> {
  const models = [
    ...Object.keys(SCENARIOS),
    ...['status-401', 'status-500', 'status-503-html', 'rst-first', 'ok-json', 'malformed'],
  ];
  const ways = ['good', 'calling', 'status-401', 'reset', 'failing', 'demo'];
  const requests = [
    ...ways.flatMap(requestsFor),
    ...['openai', 'azure', 'ollama'].flatMap((provider) =>
      models.flatMap((model) => requestsFor(`${provider}/${model}`).slice(0, 2)),
    ),
    ...REFUSED,
  ];
  const errors: string[] = [];
  const next = async (): Promise<void> => {
    const request = requests.shift();
    if (!request) return;
    const call = open({ port, ...request });
    await call.ended;
    const status = await call.status.catch(() => 0);
    errors.push(errorOf(status, call.text()));
    return next();
  };
  await Promise.all(Array.from({ length: 12 }, next));
  const ticket = await afterwards(port);
  return { errors: errors.join('\n'), ticket };
}

/** A run whose client leaves, all that can be done with a run, and a run by the ticket that it returns. */
async function afterwards(port: number): Promise<string> {
  const left = open({ port, path: '/v1/chat/stream', body: { messages }, headers: auth });
  await left.until('data:');
  left.destroy();
  const run = open({ port, path: '/v1/chat/stream', body: { messages }, headers: auth });
  await run.ended;
  const path = `/v1/runs/${await runIdOf(run)}`;
  for (const [method, where] of [
    ['GET', path],
    ['GET', `${path}/events`],
    ['POST', `${path}/cancel`],
    ['DELETE', path],
    ['GET', '/v1/runs'],
    ['GET', '/v1/models'],
    ['GET', '/v1/usage'],
    ['GET', '/health/ready'],
  ] as const) {
    await open({ port, method, path: where, headers: auth }).ended;
  }
  const issued = open({ port, method: 'POST', path: '/v1/tickets', headers: auth });
  const { ticket } = (await answerOf<{ ticket: string }>(issued)).body;
  for (const last of [`q=${encoded}`, `q=${encoded}&model=demo`]) {
    await open({ port, path: `/v1/chat/stream?ticket=${ticket}&${last}` }).ended;
  }
  return ticket;
}

const KEYS = [KEY, WRONG_KEY, UPSTREAM_KEY, AZURE_KEY];
const CONTENT = [PROMPT, encoded, COMPLETION, REASONING, ARGUMENT, INSTRUCTIONS];

describe.each(LEVELS)('at LOG_LEVEL=%s', (level) => {
  it('no key, ticket, prompt, instruction or completion gets into logs, metrics, traces or errors', async () => {
    const env = { LOG_LEVEL: level, SYSTEM_PROMPT: INSTRUCTIONS };
    const instance = await start({ ...env, PORT: String(await freePort()) });
    const { errors, ticket } = await everything(instance.port);
    const { text: metrics } = await Scrape.of(instance.port, auth);
    await eventually(() => expect(collector.spans().length).toBeGreaterThan(200), 10_000);

    const told = { log: instance.output(), metrics, traces: collector.bodies.join('\n'), errors };
    // That there is something to look through.
    expect(metrics).toContain('sluice_runs_total');
    expect(errors).toContain('provider_auth');
    expect(JSON.stringify(upstream.requests.map(({ body }) => body))).toContain(INSTRUCTIONS);
    // Nor a stack of ours.
    expect(errors).not.toMatch(/\.[jt]s:\d+/);
    if (level === 'log') expect(told.log).toContain('"context":"Run"');
    for (const [where, text] of Object.entries(told)) {
      for (const canary of [...KEYS, ticket, ...CONTENT]) {
        const at = text.indexOf(canary);
        const found = at === -1 ? '' : text.slice(Math.max(0, at - 200), at + 200);
        expect({ where, canary, found }).toEqual({ where, canary, found: '' });
      }
    }
  }, 120_000);
});

describe('with LOG_CONTENT=on', () => {
  it('prompts and completions are in the lines of runs, but no key is', async () => {
    const instance = await start({ LOG_CONTENT: 'on' });
    const { ticket } = await everything(instance.port);
    const lines = instance.log().filter(({ context }) => context === 'Run');
    expect(lines.find(({ target }) => target === 'openai/good')).toMatchObject({
      input: [{ role: 'user', parts: [{ type: 'text', content: PROMPT }] }],
      output: [
        {
          role: 'assistant',
          parts: [{ type: 'text', content: COMPLETION }],
          finish_reason: 'stop',
        },
      ],
    });
    for (const key of [...KEYS, ticket]) expect(instance.output()).not.toContain(key);
    for (const other of instance.log().filter(({ context }) => context !== 'Run')) {
      expect(JSON.stringify(other)).not.toContain(PROMPT);
    }
    expect(collector.bodies.join('\n')).not.toContain(PROMPT);
  }, 120_000);
});
