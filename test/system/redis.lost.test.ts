import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { createClient } from '@redis/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open } from '../support/http.js';
import { startInstance, type Instance } from '../support/instances.js';
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
  type State,
} from '../support/runs.js';
import { startUpstream, textOf, type Upstream } from '../support/upstream/index.js';

const MODEL = 'slow_tokens-200_ms-50';
const RETENTION_SECONDS = 30;

describeRedis('a run whose instance is gone', () => {
  let upstream: Upstream;
  let server: RedisServer;
  let admin: ReturnType<typeof createClient>;
  let b: RunningApp;
  let env: Record<string, string | number>;

  beforeAll(async () => {
    upstream = await startUpstream();
    server = await startRedis();
    admin = createClient({ url: server.url });
    await admin.connect();
    env = {
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      REDIS_URL: server.url,
      RUN_RETENTION_SECONDS: RETENTION_SECONDS,
    };
    b = await startApp(env);
  });
  afterEach(() => upstream.reset());
  afterAll(async () => {
    await b.close();
    admin.destroy();
    await server.close();
    await upstream.close();
  });

  async function expectNothingHeld() {
    for await (const keys of admin.scanIterator()) {
      for (const key of keys) {
        expect(key).toMatch(/:(meta|log|runs)$|^sluice:claim:/);
        expect(await admin.ttl(key)).toBeGreaterThan(0);
        expect(await admin.ttl(key)).toBeLessThanOrEqual(RETENTION_SECONDS);
      }
    }
  }

  it('should be told of as lost, to viewers who keep all they had', async () => {
    const a: Instance = await startInstance(env);
    const withKey = { headers: { 'idempotency-key': 'lost', 'sluice-on-disconnect': 'continue' } };
    const here = ask(a.port, MODEL, withKey);
    const id = await runIdOf(here);
    const viewers = ['json', 'json', 'openai', 'plain'].map((format) =>
      view(b.port, id, { query: `format=${format}` }),
    );
    await here.until(':20\n');
    await viewers[0]!.until(':20\n');
    const ahead = view(b.port, id, { after: 200 });
    const another = ask(a.port, MODEL);
    const unheard = await runIdOf(another);
    const waiting = { headers: { 'idempotency-key': 'waiting' } };
    ask(a.port, 'wait-first', waiting);
    await upstream.next(({ model }) => model === 'wait-first');
    const joined = ask(b.port, 'wait-first', waiting);

    const killedAt = performance.now();
    await a.kill();
    const endings = await Promise.all(viewers.map(({ ended }) => ended));
    const detection = performance.now() - killedAt;

    if (process.env.SHOW_FIGURES) console.log({ detection });
    expect(detection).toBeLessThan(10_000);
    expect(endings).toEqual(['complete', 'complete', 'complete', 'truncated']);
    const events = eventsOf(viewers[0]!);
    const last = events.pop()!;
    expect(events.map(seqOf)).toEqual(upTo(events.length));
    expect(last).toMatchObject({ event: 'error', id: `${id}:${events.length}` });
    expect(JSON.parse(last.data)).toMatchObject({ code: 'run_lost', retryable: true, usage: null });
    expect(upstream.requests[0]!.sent.startsWith(textOfEvents(events))).toBe(true);
    expect(events.length).toBeGreaterThanOrEqual(20);
    expect(viewers[1]!.text()).toBe(viewers[0]!.text());
    expect(viewers[2]!.text()).toMatch(/"code":"run_lost"[^\n]*\n\n$/);
    expect(textOf(200).startsWith(viewers[3]!.text())).toBe(true);

    // Whoever was shown nothing yet is told by the status.
    expect(await answerOf(joined)).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1', 'x-should-retry': 'true' },
      body: { error: { code: 'run_lost' } },
    });

    // Whoever has seen what was never saved waits, and keeps its place.
    expect(await ahead.ended).toBe('complete');
    expect(eventsOf(ahead)).toMatchObject([{ event: 'error', id: `${id}:200` }]);

    // Whoever comes later is told the same.
    const late = view(b.port, id, { after: 10 });
    expect(await late.ended).toBe('complete');
    expect(eventsOf(late).map(seqOf)).toEqual([...upTo(events.length).slice(10), events.length]);
    const again = view(b.port, id, { after: events.length });
    expect(await again.ended).toBe('complete');
    expect(eventsOf(again)).toEqual([last]);
    expect((await stateOf(b.port, id)).body).toMatchObject({
      status: 'failed',
      error: { code: 'run_lost' },
    });

    // Nobody viewed this one, and it is found to be lost all the same.
    const found = view(b.port, unheard);
    expect(await found.ended).toBe('complete');
    expect(JSON.parse(eventsOf(found).at(-1)!.data)).toMatchObject({ code: 'run_lost' });

    await expectNothingHeld();
    // The key is free for another attempt.
    expect((await ask(b.port, MODEL, withKey).headers)['sluice-run-id']).not.toBe(id);
  });

  it('should have failed for whoever asks, though nobody viewed it', async () => {
    const list = async (status: string) => {
      const call = open({ port: b.port, path: `/v1/runs?status=${status}` });
      return (await answerOf<{ data: State[] }>(call)).body.data;
    };
    const a: Instance = await startInstance(env);
    const options = {
      headers: { 'sluice-on-disconnect': 'continue', 'idempotency-key': 'unseen' },
    };
    const keyed = await runIdOf(ask(a.port, 'stall', options));
    const [polled, listed] = [
      await runIdOf(ask(a.port, 'stall')),
      await runIdOf(ask(a.port, 'stall')),
    ];
    await eventually(async () => {
      expect((await list('running')).map(({ id }) => id)).toContain(listed);
    });
    await a.kill();
    expect((await stateOf(b.port, polled)).body.status).toBe('running');

    const leases = [keyed, polled, listed].map((id) => `sluice:run:{${id}}:lease`);
    await eventually(async () => expect(await admin.exists(leases)).toBe(0), 6_000);
    const lost = { status: 'failed', error: { code: 'run_lost' }, ended_at: expect.any(String) };
    expect((await stateOf(b.port, polled)).body).toMatchObject({ id: polled, ...lost });
    expect((await list('running')).map(({ id }) => id)).not.toContain(listed);
    expect((await list('failed'))[0]).toMatchObject({ id: listed, ...lost });
    // Its key is free at once.
    expect(await runIdOf(ask(b.port, 'text', options))).not.toBe(keyed);
  });

  it('should stay lost when the instance was only held up, which serves its own to the end', async () => {
    const a: Instance = await startInstance(env);
    const here = ask(a.port, MODEL);
    const id = await runIdOf(here);
    const there = view(b.port, id);
    await there.until(':5\n');
    a.process.kill('SIGSTOP');
    expect(await there.ended).toBe('complete');
    a.process.kill('SIGCONT');

    expect(await here.ended).toBe('complete');
    const events = eventsOf(here);
    expect(events.at(-1)!.event).toBe('done');
    expect(textOfEvents(events)).toBe(textOf(200));
    await sleep(2_000);
    expect(JSON.parse(eventsOf(there).at(-1)!.data)).toMatchObject({ code: 'run_lost' });
    expect((await stateOf(b.port, id)).body).toMatchObject({ status: 'failed' });
    expect(await admin.exists(`sluice:run:{${id}}:lease`)).toBe(0);
    const late = await answerOf<string>(view(b.port, id));
    expect(late.body).toBe(there.text());
    await a.kill();
  });
});
