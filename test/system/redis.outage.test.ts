import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@redis/client';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall } from '../support/http.js';
import { startInstance } from '../support/instances.js';
import { describeRedis, startRedis, type RedisServer } from '../support/redis.js';
import {
  answerOf,
  ask,
  eventsOf,
  runIdOf,
  seqOf,
  stateOf,
  textOfEvents,
  upTo,
  view,
} from '../support/runs.js';
import { withoutHeartbeats } from '../support/sse.js';
import { startUpstream, TEXT, type Exchange, type Upstream } from '../support/upstream/index.js';

const CONTINUE = { headers: { 'sluice-on-disconnect': 'continue' } };

/** A live stream may be late by so much, in milliseconds. */
const MAX_DELAY_MS = 250;

const STREAMS = 100;
const LEASE_MS = 5_000;

/** A run is taken for lost within so long of Redis being good again, in milliseconds. */
const LOSS_MS = LEASE_MS + 3_500;

let upstream: Upstream;
let isOver = false;
const closing: (() => Promise<void>)[] = [];

/** Tokens that tell when they were sent, until the test is over. */
async function clock(exchange: Exchange): Promise<void> {
  exchange.role();
  while (!isOver) {
    exchange.text(`${performance.now().toFixed(1)} `);
    await exchange.sleep(200);
  }
  exchange.complete();
}

/** Two instances that share a Redis, each in a process of its own. */
async function startShared() {
  const server = await startRedis();
  closing.push(() => server.close());
  const env = { OPENAI_BASE_URL: `${upstream.url}/v1`, REDIS_URL: server.url };
  const [a, b] = [await startInstance(env), await startInstance(env)];
  closing.push(
    () => a.kill(),
    () => b.kill(),
  );
  return { server, a, b };
}

/** A token, and then none until the test is over. */
async function quiet(exchange: Exchange): Promise<void> {
  exchange.role();
  exchange.text('hm');
  while (!isOver) await exchange.sleep(200);
  exchange.complete();
}

/** Watches a stream of clock's from now on; resolves with its longest delay when it is over. */
async function longestDelay(call: HttpCall): Promise<number> {
  let longest = 0;
  let read = call.text().lastIndexOf('\n\n') + 2;
  for (;;) {
    const isMore = await call.untilBytes(call.bytes().length + 1, 60_000).then(
      () => true,
      () => false,
    );
    const now = performance.now();
    for (const [, sentAt] of call
      .text()
      .slice(read)
      .matchAll(/"content":"([\d.]+) "/g)) {
      longest = Math.max(longest, now - Number(sentAt));
    }
    read = call.text().lastIndexOf('\n\n') + 2;
    if (!isMore) return longest;
  }
}

/** The same from upstream itself: how late this machine is without us. */
const directly = () => ask(upstream.port, 'clock', { path: '/v1/chat/completions' });

async function ready(app: { port: number }): Promise<[number, string]> {
  const { status, body } = await answerOf<{ status: string }>(
    open({ port: app.port, path: '/health/ready' }),
  );
  return [status, body.status];
}

/** Another instance hears of a run a little after its start. */
const known = (app: { port: number }, id: string) =>
  eventually(async () => expect((await stateOf(app.port, id)).status).toBe(200), 5_000);

const becomes = (app: { port: number }, ...state: [number, string]) =>
  eventually(async () => expect(await ready(app)).toEqual(state), 12_000);

describeRedis('Redis', () => {
  beforeAll(async () => {
    upstream = await startUpstream();
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    upstream.reset();
  });
  afterAll(() => upstream.close());

  it('should be said to be away also where it never was there, and why', async () => {
    const instance = await startInstance({ DEMO: 'on', REDIS_URL: 'redis://127.0.0.1:1' });
    closing.push(() => instance.kill());
    const redisLines = () => instance.log().filter(({ context }) => context === 'Redis');
    await eventually(() => expect(redisLines()).not.toEqual([]));
    await sleep(1_000);
    const said = redisLines();
    expect(said).toEqual([
      expect.objectContaining({
        level: 'warn',
        msg: expect.stringContaining('ECONNREFUSED') as unknown,
      }),
    ]);
  });

  it('should be missed by no live stream when it is stopped, restarted empty and paused', async () => {
    isOver = false;
    upstream.script('clock', clock);
    const { server, a, b } = await startShared();
    const streams = Array.from({ length: STREAMS }, () => ask(a.port, 'clock', CONTINUE));
    const ids = await Promise.all(streams.map(runIdOf));
    const elsewhere = ids.slice(0, 10).map((id) => view(b.port, id));
    await Promise.all(elsewhere.map((viewer) => viewer.until('data: {"content"')));
    // Not of their start, all at once on instances that have just been started.
    const control = longestDelay(directly());
    const delays = streams.map(longestDelay);
    // While this process itself collects garbage, what is under way to it is late, but what it sends is not.
    const pauses = monitorEventLoopDelay({ resolution: 10 });
    pauses.enable();

    await server.stop();
    await becomes(b, 200, 'degraded');
    await sleep(1_000);
    await server.start();
    await becomes(b, 200, 'ok');
    // Long enough for those who would take the runs for lost.
    await sleep(LOSS_MS);
    server.pause();
    await sleep(7_000);
    expect(await ready(a)).toEqual([200, 'degraded']);
    server.resume();
    await becomes(b, 200, 'ok');
    await sleep(LOSS_MS);
    const resumed = ids.map((id) => view(b.port, id));
    await sleep(500);
    isOver = true;

    for (const viewer of [...streams, ...elsewhere, ...resumed]) {
      expect(await viewer.ended).toBe('complete');
      const events = eventsOf(viewer);
      expect(events.at(-1)).toMatchObject({ event: 'done' });
      expect(events.map(seqOf)).toEqual(upTo(events.length));
    }
    for (const [at, stream] of streams.entries()) {
      expect(resumed[at]!.text()).toBe(stream.text());
      if (elsewhere[at]) expect(withoutHeartbeats(elsewhere[at].text())).toBe(stream.text());
    }
    const longest = Math.max(...(await Promise.all(delays)));
    const own = Math.max(await control, pauses.max / 1e6);
    if (process.env.SHOW_FIGURES) console.log({ longest, own });
    expect(longest - own).toBeLessThan(MAX_DELAY_MS);
  }, 60_000);

  it('should lose no run when the machine that all of them are on is held up', async () => {
    isOver = false;
    upstream.script('clock', clock);
    upstream.script('quiet', quiet);
    const { server, a, b } = await startShared();
    // Only what is generated renews a lease before its time.
    const models = ['clock', 'clock', 'quiet', 'quiet'];
    const streams = models.map((model) => ask(a.port, model));
    const ids = await Promise.all(streams.map(runIdOf));
    const elsewhere = ids.map((id) => view(b.port, id));
    await Promise.all(elsewhere.map((viewer) => viewer.until('data: {"content"')));
    const polled = ask(a.port, 'quiet');
    const polledId = await runIdOf(polled);
    // One of each is viewed from elsewhere alone.
    for (const stream of [streams[1]!, streams[3]!]) stream.destroy();
    // Long enough for Redis to have been good for a lease, for both.
    await sleep(LEASE_MS + 1_000);

    // The one that generates is stopped first and comes back last, later than its leases last.
    a.process.kill('SIGSTOP');
    await sleep(1_000);
    b.process.kill('SIGSTOP');
    server.pause();
    await sleep(LEASE_MS - 500);
    server.resume();
    b.process.kill('SIGCONT');
    const poll = stateOf(b.port, polledId);
    await sleep(200);
    a.process.kill('SIGCONT');
    expect((await poll).body.status).toBe('running');
    await sleep(LOSS_MS);
    expect((await stateOf(b.port, polledId)).body.status).toBe('running');
    isOver = true;

    for (const viewer of [streams[0]!, streams[2]!, ...elsewhere, polled]) {
      expect(await viewer.ended).toBe('complete');
      const events = eventsOf(viewer);
      expect(events.at(-1)).toMatchObject({ event: 'done' });
      expect(events.map(seqOf)).toEqual(upTo(events.length));
    }
  }, 60_000);

  interface Outage {
    how: string;
    /** How long it lasts beyond its being noticed, in milliseconds. */
    lasts: number;
    /** Whether what was written can be read meanwhile. */
    isReadable?: boolean;
    begin: (line: Line) => unknown;
    end: (line: Line) => unknown;
  }

  const outages: Outage[] = [
    {
      how: 'stopped',
      lasts: 0,
      begin: ({ server }) => server.stop(),
      end: ({ server }) => server.start(),
    },
    {
      how: 'silent on every connection there is',
      lasts: 0,
      begin: (line) => line.freeze(),
      end: () => undefined,
    },
    {
      how: 'a hanging server, and then itself',
      lasts: 1_000,
      begin: (line) => line.swallow(),
      end: (line) => line.passOn(),
    },
    {
      how: 'a replica',
      lasts: LEASE_MS,
      isReadable: true,
      begin: ({ server }) => command(server, ['REPLICAOF', '127.0.0.1', '1']),
      end: ({ server }) => command(server, ['REPLICAOF', 'NO', 'ONE']),
    },
    {
      how: 'full',
      lasts: LEASE_MS,
      isReadable: true,
      begin: ({ server }) => command(server, ['CONFIG', 'SET', 'maxmemory', '1']),
      end: ({ server }) => command(server, ['CONFIG', 'SET', 'maxmemory', '0']),
    },
  ];

  describe.each(outages)('that is $how', ({ lasts, isReadable, begin, end }) => {
    let server: RedisServer;
    let line: Line;
    let a: RunningApp;
    let b: RunningApp;

    beforeAll(async () => {
      server = await startRedis();
      line = await startLine(server);
      const env = { OPENAI_BASE_URL: `${upstream.url}/v1`, REDIS_URL: line.url };
      a = await startApp(env);
      b = await startApp({ ...env, READY_REQUIRES_REDIS: 'on' });
    });
    afterAll(async () => {
      await a.close();
      await b.close();
      await line.close();
      await server.close();
    });

    it('should be told of and done without, and be there again after it', async () => {
      isOver = false;
      upstream.script('clock', clock);
      const live = ask(a.port, 'clock', CONTINUE);
      const delay = longestDelay(live);
      const control = longestDelay(directly());
      const id = await runIdOf(live);
      await known(b, id);
      const elsewhere = view(b.port, id);
      await elsewhere.until('data: {"content"');
      const other = ask(a.port, 'clock', CONTINUE);
      const otherId = await runIdOf(other);
      await known(b, otherId);
      const leaving = view(b.port, otherId);
      await leaving.until('data: {"content"');
      expect([await ready(a), await ready(b)]).toEqual([
        [200, 'ok'],
        [200, 'ok'],
      ]);

      await begin(line);
      await becomes(a, 200, 'degraded');
      await becomes(b, 503, 'degraded');
      leaving.destroy();
      const plain = ask(a.port, 'text');
      const withKey = { headers: { 'idempotency-key': 'once' } };
      const keyed = await answerOf(ask(a.port, 'text', withKey));
      expect(keyed).toMatchObject({
        status: 503,
        headers: { 'retry-after': '2' },
        body: { error: { code: 'store_unavailable' } },
      });
      if (!isReadable) {
        const refused = await answerOf(view(b.port, id));
        const reconnecting = await answerOf(view(b.port, id, { after: 3 }));
        expect(refused).toMatchObject({
          status: 503,
          headers: { 'retry-after': '2' },
          body: { error: { code: 'store_unavailable' } },
        });
        expect(reconnecting).toMatchObject({ status: 200, body: 'retry: 2000\n\n' });
      }
      expect(await plain.ended).toBe('complete');
      expect(textOfEvents(eventsOf(plain))).toBe(TEXT);
      await sleep(lasts);
      await end(line);

      await becomes(a, 200, 'ok');
      await becomes(b, 200, 'ok');
      await eventually(async () => {
        expect((await answerOf(ask(b.port, 'text', withKey))).status).toBe(200);
      }, 10_000);
      // What the owner could not write in time is there now, and nobody took it for lost.
      await sleep(1_500);
      const resumed = view(b.port, id);
      isOver = true;
      for (const viewer of [live, elsewhere, resumed]) {
        expect(await viewer.ended).toBe('complete');
        expect(withoutHeartbeats(viewer.text())).toBe(live.text());
      }
      expect(eventsOf(live).at(-1)!.event).toBe('done');
      // Nobody follows what nobody views, also where they left meanwhile.
      await eventually(async () => {
        expect(await command(server, ['PUBSUB', 'CHANNELS', '*:grown'])).toEqual([]);
      });
      expect((await delay) - (await control)).toBeLessThan(MAX_DELAY_MS);
    });
  });

  it('should say that a run is lost whose request was refused while it hung', async () => {
    const server = await startRedis();
    closing.push(() => server.close());
    const app = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, REDIS_URL: server.url });
    closing.unshift(() => app.close());
    server.pause();
    const refused = ask(app.port, 'text', { headers: { 'idempotency-key': 'hung' } });
    expect(await refused.status).toBe(503);
    server.resume();

    await eventually(async () => {
      const { body } = await answerOf(open({ port: app.port, path: '/v1/runs' }));
      expect(body).toMatchObject({ data: [{ status: 'failed', error: { code: 'run_lost' } }] });
    }, 2 * LOSS_MS);
  }, 30_000);

  it('should be waited for when it is away at boot', async () => {
    const server = await startRedis();
    closing.push(() => server.close());
    await server.stop();
    const app = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, REDIS_URL: server.url });
    closing.unshift(() => app.close());
    expect(await ready(app)).toEqual([200, 'degraded']);
    const call = ask(app.port, 'text');
    expect(await call.ended).toBe('complete');
    expect(textOfEvents(eventsOf(call))).toBe(TEXT);

    await server.start();
    await becomes(app, 200, 'ok');
  });
});

async function command(server: RedisServer, words: string[]): Promise<unknown> {
  const client = createClient({ url: server.url });
  await client.connect();
  const reply = await client.sendCommand(words);
  client.destroy();
  return reply;
}

/** The network before a Redis. */
interface Line {
  server: RedisServer;
  url: string;
  /** No connection carries anything any more; new ones do. */
  freeze(): void;
  /** Connections are reset; new ones are accepted and never answered. */
  swallow(): void;
  /** Ends that as a server does that goes away. */
  passOn(): void;
  close(): Promise<void>;
}

async function startLine(server: RedisServer): Promise<Line> {
  const clients = new Set<Socket>();
  let isSwallowing = false;
  const reset = () => {
    for (const client of clients) client.resetAndDestroy();
  };
  const listener = createServer((client) => {
    clients.add(client);
    client.on('error', () => undefined);
    client.once('close', () => clients.delete(client));
    if (isSwallowing) return;
    const redis = connect(server.port, '127.0.0.1');
    redis.on('error', () => client.destroy());
    redis.once('close', () => client.destroy());
    client.once('close', () => redis.destroy());
    client.pipe(redis);
    redis.pipe(client);
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  return {
    server,
    url: `redis://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    freeze() {
      for (const client of clients) client.unpipe().pause().removeAllListeners('data');
    },
    swallow() {
      isSwallowing = true;
      reset();
    },
    passOn() {
      isSwallowing = false;
      reset();
    },
    async close() {
      reset();
      await once(listener.close(), 'close');
    },
  };
}
