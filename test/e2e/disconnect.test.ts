import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ConsoleLogger } from '@nestjs/common';
import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import {
  Agent,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http';
import { connect, type Socket } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { RUN_STORE, type RunStore } from '../../src/runs/run-store.js';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall } from '../support/http.js';
import { PendingTimers } from '../support/pending-timers.js';
import { SilentServer } from '../support/silent-server.js';
import {
  startUpstream,
  TEXT,
  textOf,
  type Exchange,
  type Upstream,
  type UpstreamRequest,
} from '../support/upstream/index.js';

/** How soon after the client's leaving the upstream's socket must be closed. */
const SOON_MS = 1000;

/** Small enough that a test can see a commit without content, large enough to leave before it. */
const COMMIT_AFTER_MS = 60;

/** How long a cold start may take, milliseconds. */
const START_MS = 40_000;

let upstream: Upstream;
let silence: SilentServer;
const apps = new Map<string, RunningApp>();
const timers = new PendingTimers();
const logged = jest.spyOn(ConsoleLogger.prototype, 'error');

/** Two configurations, as Azure's two routes can't be had at once. */
const CONFIGURATIONS: Record<string, (url: string) => Record<string, string>> = {
  dated: (url) => ({
    OPENAI_BASE_URL: `${url}/v1`,
    OPENAI_API_KEY: 'key',
    AZURE_OPENAI_ENDPOINT: url,
    AZURE_OPENAI_API_KEY: 'key',
    AZURE_OPENAI_DEPLOYMENT: 'text',
    AZURE_OPENAI_API_VERSION: '2024-10-21',
    OLLAMA_BASE_URL: url,
    DEMO: 'on',
  }),
  v1: (url) => ({
    AZURE_OPENAI_ENDPOINT: url,
    AZURE_OPENAI_API_KEY: 'key',
    AZURE_OPENAI_DEPLOYMENT: 'text',
  }),
};

/** Every socket that this process connected. */
const connecting = new Set<Socket>();

function socketsToUpstream(): Socket[] {
  return [...connecting].filter(({ remotePort }) => remotePort === upstream.port);
}

function onConnecting(message: unknown) {
  const { socket } = message as { socket: Socket };
  connecting.add(socket);
  socket.once('close', () => connecting.delete(socket));
}

beforeAll(async () => {
  diagnostics.subscribe('net.client.socket', onConnecting);
  upstream = await startUpstream();
  silence = await new SilentServer().listen();
  for (const [name, configuration] of Object.entries(CONFIGURATIONS)) {
    apps.set(name, await startApp({ ...configuration(upstream.url), COMMIT_AFTER_MS }));
    apps.set(`${name}, silent`, await startApp({ ...configuration(silence.url), COMMIT_AFTER_MS }));
  }
});

/** The first run that is broken off waits for the token counter to start. */
beforeAll(async () => {
  for (const [name, app] of apps) {
    const call = open({ port: app.port, path: '/v1/chat/stream?q=hello&model=wait-headers' });
    await (name.endsWith('silent') ? silence.connected() : upstream.next());
    call.end();
    await expectNothingLeft(app, START_MS);
  }
}, START_MS);

afterEach(() => {
  upstream.reset();
  expect(logged).not.toHaveBeenCalled();
  logged.mockClear();
});

afterAll(async () => {
  timers.restore();
  diagnostics.unsubscribe('net.client.socket', onConnecting);
  await Promise.all([...apps.values()].map((app) => app.close()));
  await upstream.close();
  silence.close();
});

function serverOf(app: RunningApp): Server {
  return app.app.getHttpServer();
}

function connectionsTo(app: RunningApp): Promise<number> {
  return new Promise((resolve, reject) => {
    serverOf(app).getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

/** No socket on either side, no run, no timer of a deadline or a heartbeat. */
async function expectNothingLeft(app: RunningApp, withinMs = SOON_MS) {
  await eventually(async () => {
    expect({
      upstream: upstream.openSockets,
      silent: silence.sockets.size,
      clients: await connectionsTo(app),
      runs: app.app.get<RunStore>(RUN_STORE).live().length,
      timers: timers.size,
    }).toEqual({ upstream: 0, silent: 0, clients: 0, runs: 0, timers: 0 });
  }, withinMs);
}

interface Provider {
  name: string;
  app: string;
  prefix: string;
  /** Says at once that it has finished and what was used. */
  finishesWithUsage?: boolean;
}

const PROVIDERS: Provider[] = [
  { name: 'openai', app: 'dated', prefix: 'openai/' },
  { name: 'azure, deployment route', app: 'dated', prefix: 'azure/' },
  { name: 'azure, v1 route', app: 'v1', prefix: 'azure/' },
  { name: 'ollama', app: 'dated', prefix: 'ollama/', finishesWithUsage: true },
];

interface Dialect {
  name: string;
  request: (model: string) => { path: string; body?: object };
  streams?: false;
}

const messages = [{ role: 'user', content: 'hello' }];

const posted = (query: string) => (model: string) => ({
  path: `/v1/chat/stream${query}`,
  body: { model, messages },
});
const got = (query: string) => (model: string) => ({
  path: `/v1/chat/stream?q=hello&model=${encodeURIComponent(model)}${query}`,
});
const completions = (stream: boolean) => (model: string) => ({
  path: '/v1/chat/completions',
  body: { model, messages, stream },
});

const DIALECTS: Dialect[] = [
  { name: 'json, POST', request: posted('') },
  { name: 'json, GET', request: got('') },
  { name: 'text, POST', request: posted('?format=text') },
  { name: 'text, GET', request: got('&format=text') },
  { name: 'plain, POST', request: posted('?format=plain') },
  { name: 'plain, GET', request: got('&format=plain') },
  { name: 'openai, POST', request: posted('?format=openai') },
  { name: 'openai, GET', request: got('&format=openai') },
  { name: '/v1/chat/completions, streaming', request: completions(true) },
  { name: '/v1/chat/completions, not streaming', request: completions(false), streams: false },
];

const STREAMING = DIALECTS.filter(({ streams }) => streams !== false);

/** How a client leaves: with a FIN, with an RST. */
const LEAVES = ['end', 'destroy'] as const;

interface Phase {
  name: string;
  /** What upstream plays. */
  model: string;
  /** Resolves when client and upstream are in the phase. */
  reached?(call: HttpCall, request: UpstreamRequest, streams: boolean): Promise<unknown>;
  dialects?: Dialect[];
  skips?(provider: Provider): boolean;
  /** What happens in the tick in which the client leaves. */
  meanwhile?(): void;
  /** Upstream had said all that it had to say. */
  upstreamFinishes?: boolean;
}

const heard =
  (text: string): Phase['reached'] =>
  (call, request, streams) =>
    streams
      ? call.until(text.split(/\s/).at(-1)!)
      : eventually(() => expect(request.sent).toBe(text));

let lastFrames = () => {};

function lastFramesOnDemand(exchange: Exchange) {
  exchange.role();
  exchange.text('almost');
  lastFrames = () => exchange.complete();
}

const PHASES: Phase[] = [
  { name: 'waiting for headers', model: 'wait-headers' },
  { name: 'waiting for the first token', model: 'wait-first' },
  {
    name: 'waiting for the first token, after its headers were sent',
    model: 'wait-first',
    reached: async (call) => expect(await call.status).toBe(200),
    dialects: STREAMING,
  },
  {
    name: 'mid-stream',
    model: 'slow_ms-20_tokens-1000',
    reached: (call, request, streams) =>
      streams ? call.until('Hello') : eventually(() => expect(request.sent).not.toBe('')),
  },
  { name: 'stalled mid-stream', model: 'stall', reached: heard(textOf(3)) },
  {
    name: 'in the tick of the last frames',
    model: 'last',
    reached: heard('almost'),
    meanwhile: () => lastFrames(),
    upstreamFinishes: true,
  },
  { name: 'at the last token', model: 'text', reached: heard(TEXT), upstreamFinishes: true },
  {
    name: 'waiting for usage after the finish reason',
    model: 'finish-then-hang',
    reached: heard(TEXT),
    skips: ({ finishesWithUsage }) => finishesWithUsage ?? false,
  },
];

describe.each(PROVIDERS)('a client of $name that leaves', (provider) => {
  const appOf = () => apps.get(provider.app)!;

  beforeAll(() => expectNothingLeft(appOf()));

  describe.each(PHASES.filter((phase) => !phase.skips?.(provider)))('$name', (phase) => {
    const { model, dialects = DIALECTS, upstreamFinishes = false } = phase;

    it.each(dialects)('closes the upstream at once: $name', async (dialect) => {
      const app = appOf();
      for (const leave of LEAVES) {
        upstream.script('last', lastFramesOnDemand);
        const call = open({ port: app.port, ...dialect.request(provider.prefix + model) });
        const request = await upstream.next();
        await phase.reached?.(call, request, dialect.streams ?? true);

        phase.meanwhile?.();
        call[leave]();
        const leftAt = performance.now();
        await request.closed;

        expect(performance.now() - leftAt).toBeLessThan(SOON_MS);
        if (!upstreamFinishes) expect(request.closedEarly).toBe(true);
        await expectNothingLeft(app);
      }
    });
  });

  it.each(DIALECTS)('closes a connection that is still being made: $name', async (dialect) => {
    const app = apps.get(`${provider.app}, silent`)!;
    for (const leave of LEAVES) {
      const call = open({ port: app.port, ...dialect.request(`${provider.prefix}text`) });
      await silence.connected();
      expect(silence.sockets.size).toBe(1);

      call[leave]();

      await expectNothingLeft(app);
    }
  });

  it.each(DIALECTS)(
    'generates for nobody when it left with its request: $name',
    async (dialect) => {
      const app = appOf();
      for (const leave of LEAVES) {
        const { socket } = await send(app, [dialect.request(`${provider.prefix}stall`)]);
        leaveWith(socket, leave);

        await expectNothingLeft(app);
        expect(upstream.requests.every(({ closedEarly }) => closedEarly)).toBe(true);
      }
    },
  );

  it.each(DIALECTS)(
    'generates for nobody when it left before the handler: $name',
    async (dialect) => {
      const app = appOf();
      for (const gone of ['destroyed', 'closed'] as const) {
        handleOnce(app, gone);
        await send(app, [dialect.request(`${provider.prefix}stall`)]);

        await eventually(async () => expect(await connectionsTo(app)).toBe(0));
        await expectNothingLeft(app);
        expect(upstream.requests.every(({ closedEarly }) => closedEarly)).toBe(true);
      }
    },
  );

  it.each(DIALECTS)('leaves nothing of requests that were pipelined: $name', async (dialect) => {
    const app = appOf();
    for (const leave of LEAVES) {
      const request = dialect.request(`${provider.prefix}stall`);
      const { socket } = await send(app, [request, request, request]);
      const requests = await Promise.all([1, 2, 3].map(() => upstream.next()));
      await eventually(() => requests.forEach(({ sent }) => expect(sent).toBe(textOf(3))));

      leaveWith(socket, leave);

      await expectNothingLeft(app);
      expect(requests.every(({ closedEarly }) => closedEarly)).toBe(true);
    }
  });
});

/** Several requests on one connection, in one packet; resolves when the kernel has them. */
async function send(app: RunningApp, requests: ReturnType<Dialect['request']>[]) {
  const bytes = requests.map(({ path, body }) => {
    const json = body ? JSON.stringify(body) : '';
    const type = body
      ? `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n`
      : '';
    return `${body ? 'POST' : 'GET'} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${type}\r\n${json}`;
  });
  const socket = connect(app.port, '127.0.0.1').setNoDelay();
  socket.on('error', () => {}).resume();
  await once(socket, 'connect');
  await new Promise((resolve) => socket.write(bytes.join(''), resolve));
  return { socket };
}

/** Lets the next request be handled when its socket is destroyed, or has told so as well. */
function handleOnce(app: RunningApp, gone: 'destroyed' | 'closed') {
  const server = serverOf(app);
  const [handle] = server.listeners('request') as [RequestListener];
  server.off('request', handle).once('request', (request, response) => {
    server.on('request', handle);
    request.socket.destroy();
    if (gone === 'closed') request.socket.once('close', () => handle(request, response));
    else handle(request, response);
  });
}

function leaveWith(socket: Socket, leave: (typeof LEAVES)[number]) {
  if (leave === 'end') socket.end();
  else socket.resetAndDestroy();
}

describe.each(DIALECTS)('a client of demo that leaves: $name', ({ request, streams = true }) => {
  it.each([
    { phase: 'waiting for the first token', model: 'demo/slow-start', hears: false },
    { phase: 'mid-stream', model: 'demo/long', hears: streams },
    { phase: 'stalled mid-stream', model: 'demo/stall', hears: streams },
  ])('leaves nothing behind $phase', async ({ model, hears }) => {
    const app = apps.get('dated')!;
    const calls = LEAVES.map(() => open({ port: app.port, ...request(model) }));
    await eventually(() => expect(timers.size).toBeGreaterThan(0));
    if (hears) await Promise.all(calls.map((call) => call.until(/content|\w/)));

    LEAVES.forEach((leave, i) => calls[i]![leave]());

    await expectNothingLeft(app);
  });
});

describe('connections that are kept alive', () => {
  it('keep no listener of what they carried, on neither side', async () => {
    const app = apps.get('dated')!;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const toClients = new Set<Socket>();
    serverOf(app).on('connection', (socket: Socket) => toClients.add(socket));
    const carryAll = async () => {
      for (const { request } of DIALECTS) {
        for (const { prefix } of PROVIDERS.filter((provider) => provider.app === 'dated')) {
          await answered(app, agent, request(`${prefix}text_ms-0`));
        }
      }
    };
    const listeners = () =>
      [...toClients, ...socketsToUpstream()].map((socket) =>
        socket.eventNames().map((name) => `${String(name)} ${socket.listenerCount(name)}`),
      );
    await carryAll();
    const before = listeners();
    expect(toClients.size).toBe(1);
    expect(socketsToUpstream().length).toBeGreaterThan(0);

    await carryAll();

    await eventually(() => expect(listeners()).toEqual(before));
    agent.destroy();
  });
});

async function answered(
  app: RunningApp,
  agent: Agent,
  { path, body }: ReturnType<Dialect['request']>,
) {
  const headers = body && { 'content-type': 'application/json' };
  const method = body ? 'POST' : 'GET';
  const request = httpRequest(`${app.url}${path}`, { agent, method, headers });
  request.end(body && JSON.stringify(body));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  expect(await readText(response)).toContain('The end.');
}
