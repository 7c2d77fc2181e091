import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@redis/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall } from '../support/http.js';
import { startInstance } from '../support/instances.js';
import { describeRedis, startRedis, type RedisServer } from '../support/redis.js';
import {
  answerOf,
  ask,
  cancel,
  eventsOf,
  runIdOf,
  seqOf,
  settled,
  stateOf,
  textOfEvents,
  upTo,
  view,
  type State,
} from '../support/runs.js';
import { parseSse } from '../support/sse.js';
import {
  bigText,
  NASTY,
  startUpstream,
  TEXT,
  textOf,
  type Upstream,
} from '../support/upstream/index.js';

const CONTINUE = { headers: { 'sluice-on-disconnect': 'continue' } };
const GRACE = { headers: { 'sluice-on-disconnect': 'grace=2' } };

/** A run that goes on for as long as any of these tests needs it. */
const LONG = 'slow_tokens-400_ms-25';

describeRedis('runs that are viewed on another instance', () => {
  let upstream: Upstream;
  let server: RedisServer;
  let admin: ReturnType<typeof createClient>;
  let a: RunningApp;
  let b: RunningApp;

  beforeAll(async () => {
    upstream = await startUpstream();
    server = await startRedis();
    admin = createClient({ url: server.url });
    await admin.connect();
    const env = { OPENAI_BASE_URL: `${upstream.url}/v1`, REDIS_URL: server.url };
    a = await startApp(env);
    b = await startApp(env);
  });
  afterEach(() => upstream.reset());
  afterAll(async () => {
    await a.close();
    await b.close();
    admin.destroy();
    await server.close();
    await upstream.close();
  });

  async function started(model: string, options: object = CONTINUE): Promise<[HttpCall, string]> {
    const call = ask(a.port, model, options);
    return [call, await runIdOf(call)];
  }

  /** The whole body of a view that ended well. */
  async function whole(call: HttpCall): Promise<string> {
    expect(await call.ended).toBe('complete');
    return call.text();
  }

  describe('what they show', () => {
    it.each([
      ['json', 'nasty'],
      ['openai', 'nasty'],
      ['text', 'text'],
      ['plain', 'text'],
    ])(
      'should be the same bytes as on its own, replayed and live, as %s',
      async (format, model) => {
        const [, id] = await started(`${model}_ms-20`);
        const [here, there] = [a, b].map(({ port }) =>
          view(port, id, { query: `format=${format}` }),
        );

        expect(await whole(there!)).toBe(await whole(here!));
        expect(await whole(view(b.port, id, { query: `format=${format}` }))).toBe(here!.text());
        if (format === 'plain') expect(there!.text()).toBe(TEXT);
        if (format === 'json') expect(textOfEvents(eventsOf(there!))).toBe(NASTY);
      },
    );

    it('should be a thousand entries without a gap, joined in their midst', async () => {
      const [, id] = await started('text_tokens-1000_ms-1');
      const viewers = [];
      for (let count = 0; count < 10; count += 1) {
        viewers.push(view(b.port, id));
        await sleep(100);
      }
      viewers.push(view(b.port, id));

      for (const viewer of viewers) {
        await whole(viewer);
        const events = eventsOf(viewer);
        expect(events.map(seqOf)).toEqual(upTo(1002));
        expect(textOfEvents(events)).toBe(textOf(1000));
      }
      expect(upstream.requests).toHaveLength(1);
    });

    it('should be an entry of 4 MB', async () => {
      const [, id] = await started('big');
      const viewer = view(b.port, id);

      await whole(viewer);
      expect(textOfEvents(eventsOf(viewer))).toBe(bigText());
    });

    it.each(['json', 'openai', 'anthropic', 'text', 'ui', 'plain'])(
      'should not be an end that was seen elsewhere before, as %s',
      async (format) => {
        const [call, id] = await started('text_tokens-20_ms-20');
        const query = `format=${format}`;
        const viewer = view(b.port, id, { after: 22, query });
        expect(await viewer.status).toBe(200);

        await whole(viewer);
        expect(format === 'plain' ? viewer.text() : eventsOf(viewer)).toHaveLength(0);
        expect(await view(b.port, id, { after: 22, query }).status).toBe(204);
        expect(eventsOf((await whole(call), call)).map(seqOf)).toEqual(upTo(22));
      },
    );

    it('should soon be what a viewer missed who comes back at once', async () => {
      const [, id] = await started(LONG);
      const first = view(b.port, id);
      await first.until('data: {"content"');
      first.destroy();
      const startedAt = performance.now();
      const second = view(b.port, id);

      await second.until('data: {"content"');
      expect(performance.now() - startedAt).toBeLessThan(1_000);
      await cancel(a.port, id);
    });
  });

  describe('stopping', () => {
    it('should close the upstream of a run elsewhere, and tell all its viewers', async () => {
      const [here, id] = await started(LONG);
      const there = view(b.port, id);
      await there.until('data: {"content"');
      const request = await upstream.next();

      const { status, body } = await cancel(b.port, id);
      await request.closed;

      expect({ status, body }).toMatchObject({ status: 200, body: { id, status: 'cancelled' } });
      expect(body.usage).toMatchObject({ source: 'estimated' });
      expect(request.closedEarly).toBe(true);
      for (const viewer of [here, there]) {
        await whole(viewer);
        expect(eventsOf(viewer).at(-1)!.event).toBe('cancelled');
      }
      expect(there.text()).toBe(here.text());
      expect((await cancel(b.port, id)).body).toEqual(body);
      expect((await stateOf(b.port, id)).body).toEqual((await stateOf(a.port, id)).body);
    });
  });

  describe('viewers', () => {
    it('should keep a run with the policy cancel, until the last has left', async () => {
      const [here, id] = await started(LONG, {});
      const there = view(b.port, id);
      await there.until('data: {"content"');
      const request = await upstream.next();

      here.destroy();
      await sleep(1_000);
      expect(request.closedEarly).toBe(false);
      there.destroy();
      const leftAt = performance.now();
      await request.closed;

      expect(request.closedEarly).toBe(true);
      expect(performance.now() - leftAt).toBeLessThan(1_000);
    });

    it.each([
      ['comes back nowhere', undefined],
      ['comes back where it was', 'b'],
      ['comes back on the other instance', 'a'],
    ])('should start the grace of a run when the last one leaves, and %s', async (_, back) => {
      const [here, id] = await started(LONG, GRACE);
      const there = view(b.port, id);
      await there.until('data: {"content"');
      const request = await upstream.next();
      here.destroy();
      await sleep(500);
      there.destroy();
      await sleep(1_500);
      expect(request.closedEarly).toBe(false);

      const again = back && view(back === 'a' ? a.port : b.port, id);
      await sleep(1_500);
      expect(request.closedEarly).toBe(again === undefined);
      const late = view(b.port, id);
      if (again) {
        expect(textOf(400)).toContain(textOfEvents(eventsOf(again)));
        await cancel(a.port, id);
      }

      expect(eventsOf((await whole(late), late)).at(-1)!.event).toBe('cancelled');
      expect(upstream.requests).toHaveLength(1);
    });

    it('should not count when their instance is gone', async () => {
      const instance = await startInstance({
        OPENAI_BASE_URL: `${upstream.url}/v1`,
        REDIS_URL: server.url,
      });
      const [here, id] = await started(LONG, {});
      const there = view(instance.port, id);
      await there.until('data: {"content"');
      const request = await upstream.next();
      here.destroy();
      await instance.kill();

      await eventually(() => expect(request.closedEarly).toBe(true), 9_000);
    });
  });

  describe('elsewhere', () => {
    it('should be listed, told of and forgotten', async () => {
      const [, id] = await started(LONG);
      await eventually(async () => {
        expect((await stateOf(b.port, id)).body.status).toBe('running');
      });
      for (const { port } of [a, b]) {
        const path = '/v1/runs?status=running';
        const { body } = await answerOf<{ data: State[] }>(open({ port, path }));
        expect(body.data.map((run) => run.id)).toEqual([id]);
      }
      const viewers = [a, b].map(({ port }) => view(port, id));
      await viewers[1]!.until('data: {"content"');

      const { status } = await answerOf(
        open({ port: b.port, method: 'DELETE', path: `/v1/runs/${id}` }),
      );

      expect(status).toBe(204);
      for (const viewer of viewers) {
        expect(eventsOf((await whole(viewer), viewer)).at(-1)!.event).toBe('cancelled');
      }
      await eventually(async () => expect((await stateOf(a.port, id)).status).toBe(404));
      expect((await stateOf(b.port, id)).status).toBe(404);
      const { body } = await answerOf<{ data: State[] }>(open({ port: a.port, path: '/v1/runs' }));
      expect(body.data.map((run) => run.id)).not.toContain(id);
    });

    it('should end as cancelled for those who view a run that its own instance forgets', async () => {
      const [, id] = await started(LONG);
      const there = view(b.port, id);
      await there.until('data: {"content"');

      const { status } = await answerOf(
        open({ port: a.port, method: 'DELETE', path: `/v1/runs/${id}` }),
      );

      expect(status).toBe(204);
      await whole(there);
      expect(eventsOf(there).at(-1)!.event).toBe('cancelled');
      expect((await stateOf(b.port, id)).status).toBe(404);
      expect(await admin.exists(`sluice:run:{${id}}:meta`)).toBe(0);
    });

    it.each(['/v1/chat/stream', '/v1/chat/completions'])(
      'should be 410 when Redis dropped what was generated for %s',
      async (path) => {
        const options = { path, headers: { 'idempotency-key': 'dropped' } };
        const [call, id] = await started('text', options);
        await whole(call);
        await settled(b.port, id);
        await admin.del(`sluice:run:{${id}}:log`);

        const gone = { status: 410, body: { error: { code: 'resume_gap' } } };
        for (const after of [undefined, 3]) {
          expect(await answerOf(view(b.port, id, { after }))).toMatchObject(gone);
        }
        expect(await answerOf(ask(b.port, 'text', options))).toMatchObject(gone);
        expect(await stateOf(b.port, id)).toMatchObject({ body: { status: 'completed' } });
      },
    );

    it('should be one run for two first requests with one key', async () => {
      const headers = { 'idempotency-key': 'once' };
      const calls = [a, b, a, b].map(({ port }) => ask(port, 'text_ms-20', { headers }));
      const texts = await Promise.all(calls.map(whole));

      expect(new Set(texts).size).toBe(1);
      expect(textOfEvents(eventsOf(calls[0]!))).toBe(TEXT);
      expect(upstream.requests).toHaveLength(1);
      expect(await whole(ask(b.port, 'text_ms-20', { headers }))).toBe(texts[0]);
      expect(upstream.requests).toHaveLength(1);
    });
  });

  it('should take two connections an instance, however many runs are viewed', async () => {
    const connections = async () =>
      (await admin.info('clients')).match(/connected_clients:(\d+)/)![1];
    expect(await connections()).toBe('5');
    const runs = await Promise.all(
      Array.from({ length: 100 }, () => started('slow_tokens-40_ms-50')),
    );
    const viewers = runs.map(([, id]) => view(b.port, id));
    await Promise.all(viewers.map((viewer) => viewer.until('data: {"content"', 15_000)));

    expect(await connections()).toBe('5');
    for (const viewer of viewers) {
      await whole(viewer);
      expect(textOfEvents(eventsOf(viewer))).toBe(textOf(40));
    }
    // Nobody follows what nobody views.
    await eventually(async () => expect(await admin.pubSubChannels('*grown')).toEqual([]));
  });

  it('should leave nothing in Redis that does not expire', async () => {
    const [call, id] = await started('text');
    await whole(call);
    await settled(b.port, id);
    for await (const keys of admin.scanIterator()) {
      for (const key of keys) {
        expect(key).not.toMatch(/:lease$/);
        // In milliseconds; -1 is never, and -2 is a key that went meanwhile.
        expect(await admin.pTTL(key)).not.toBe(-1);
        // What a key used is kept for longer than its runs.
        const isUsage = key.startsWith('sluice:usage:');
        if (!isUsage) expect(await admin.pTTL(key)).toBeLessThanOrEqual(600_000);
      }
    }
  });

  it('should tell the viewers of a run elsewhere when their own instance leaves', async () => {
    const env = { OPENAI_BASE_URL: `${upstream.url}/v1`, REDIS_URL: server.url };
    const leaving = await startApp(env);
    const [, id] = await started(LONG);
    const viewer = view(leaving.port, id);
    await viewer.until('data: {"content"');
    await leaving.close();

    await whole(viewer);
    const events = eventsOf(viewer);
    expect(JSON.parse(events.at(-1)!.data)).toMatchObject({ code: 'shutting_down' });
    expect(seqOf(events.at(-1)!)).toBe(seqOf(events.at(-2)!));

    const rest = view(b.port, id, { after: seqOf(events.at(-1)!) });
    await rest.until('data: {"content"');
    await cancel(b.port, id);
    await whole(rest);
    expect(textOf(400)).toContain(textOfEvents([...events, ...parseSse(rest.text()).events]));
  });
});
