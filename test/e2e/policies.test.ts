import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app.js';
import { open } from '../support/http.js';
import { answerOf, ask, eventsOf, runIdOf, settled, stateOf, view } from '../support/runs.js';
import { describeStores, type Cluster } from '../support/stores.js';
import {
  TEXT_TOKENS,
  startUpstream,
  textOf,
  type Upstream,
  type UpstreamRequest,
} from '../support/upstream/index.js';

let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.reset());
afterAll(() => upstream.close());

interface Left {
  id: string;
  request: UpstreamRequest;
  leftAt: number;
}

/** A run whose only viewer left in mid-stream. */
async function leave(port: number, model: string, policy?: string): Promise<Left> {
  const headers = policy === undefined ? undefined : { 'sluice-on-disconnect': policy };
  const call = ask(port, model, { headers });
  await call.until('data: {"content"');
  const id = await runIdOf(call);
  const request = await upstream.next((seen) => seen.model === model);
  call.destroy();
  return { id, request, leftAt: performance.now() };
}

/** How long after its last viewer left the generation was stopped, in milliseconds. */
async function stoppedAfter({ request, leftAt }: Left): Promise<number> {
  await request.closed;
  expect(request.closedEarly).toBe(true);
  return performance.now() - leftAt;
}

describeStores('policies', (store) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await store.start({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      MAX_GRACE_SECONDS: 2,
      // With Redis no run is forgotten before a lease is over.
      RUN_RETENTION_SECONDS: 5,
    });
  });
  afterAll(() => cluster.close());

  it.each([undefined, 'cancel', 'grace=0'])(
    'stops at once when the last viewer leaves, with the policy %s',
    async (policy) => {
      const left = await leave(cluster.here.port, 'stall', policy);
      expect(await stoppedAfter(left)).toBeLessThan(1_000);
      expect(await settled(cluster.there.port, left.id)).toMatchObject({ status: 'cancelled' });
    },
  );

  it('goes on while any viewer is left, whichever leaves', async () => {
    const first = ask(cluster.here.port, 'stall');
    await first.until('data: {"content"');
    const request = await upstream.next();
    const second = view(cluster.here.port, await runIdOf(first));
    await second.until('data: {"content"');
    first.destroy();
    await sleep(200);
    expect(request.closedEarly).toBe(false);

    second.destroy();
    await request.closed;
    expect(request.closedEarly).toBe(true);
  });

  it("asks the starter for the policy: a joiner's is ignored", async () => {
    const first = ask(cluster.here.port, 'stall');
    await first.until('data: {"content"');
    const request = await upstream.next();
    const headers = { 'sluice-on-disconnect': 'continue' };
    const second = view(cluster.here.port, await runIdOf(first), { headers });
    await second.until('data: {"content"');
    first.destroy();
    second.destroy();
    await request.closed;
    expect(request.closedEarly).toBe(true);
  });

  /** The statuses of a run near the end of its retention, asked for while other tests go on. */
  let retained: Promise<{ before: number[]; after: number[] }>;

  it('with continue runs to its end unseen, and can be read then', async () => {
    const { id, request } = await leave(cluster.here.port, 'text_tokens-40_ms-10', 'continue');
    const { ended_at } = await settled(cluster.there.port, id);
    expect(request).toMatchObject({ sent: textOf(40), closedEarly: false });

    const late = view(cluster.there.port, id, { query: 'format=plain' });
    expect(await late.ended).toBe('complete');
    expect(late.text()).toBe(textOf(40));

    const statuses = async (at: number) => {
      await sleep(Date.parse(ended_at!) + at - Date.now());
      const headers = { 'last-event-id': `${id}:3` };
      const paths = [`/v1/runs/${id}`, `/v1/runs/${id}/events`, '/v1/chat/stream?q=hi'];
      return Promise.all(
        cluster.instances.flatMap(({ port }) =>
          paths.map((path) => open({ port, path, headers }).status),
        ),
      );
    };
    retained = statuses(4_000).then(async (before) => ({ before, after: await statuses(6_000) }));
  });

  it('with grace=2 is open 1.5 s after the last viewer left, and closed by 3 s', async () => {
    const [left, capped] = await Promise.all([
      leave(cluster.here.port, 'stall', 'grace=2'),
      // MAX_GRACE_SECONDS makes it the same.
      leave(cluster.here.port, 'stall_after-4', 'grace=100'),
    ]);
    await sleep(1_500);
    expect(upstream.closedEarly).toBe(0);
    expect((await stateOf(cluster.there.port, left.id)).body.status).toBe('running');
    expect(await stoppedAfter(left)).toBeLessThan(3_000);
    expect(await stoppedAfter(capped)).toBeLessThan(3_000);

    await settled(cluster.there.port, left.id);
    for (const { port } of cluster.instances) {
      const late = view(port, left.id);
      expect(await late.ended).toBe('complete');
      expect(eventsOf(late).at(-1)!.event).toBe('cancelled');
    }
    const cursor = { 'last-event-id': `${left.id}:2` };
    const path = '/v1/chat/stream?q=hi&model=stall';
    const late = open({ port: cluster.there.port, path, headers: cursor });
    await late.ended;
    expect(eventsOf(late).at(-1)!.event).toBe('cancelled');
    expect(upstream.requests).toHaveLength(2);
  });

  it('with grace=2 a return at 1.5 s keeps it, and the clock starts anew', async () => {
    let finish = () => {};
    upstream.script('patient', async (exchange) => {
      exchange.role();
      exchange.text('before');
      await new Promise<void>((resolve) => (finish = resolve));
      exchange.text(' after');
      exchange.complete();
    });
    const { id, request } = await leave(cluster.here.port, 'patient', 'grace=2');
    await sleep(1_500);
    // Elsewhere, where there is an elsewhere.
    const back = view(cluster.there.port, id, { after: 2 });
    expect(await back.status).toBe(200);
    await sleep(1_200);
    expect(request.closedEarly).toBe(false);
    back.destroy();
    await sleep(1_500);
    expect(request.closedEarly).toBe(false);

    const again = view(cluster.there.port, id, { after: 2 });
    expect(await again.status).toBe(200);
    finish();
    expect(await again.ended).toBe('complete');
    const events = eventsOf(again);
    expect(events.map(({ event }) => event)).toEqual(['message', 'done']);
    expect(events[0]!.data).toBe('{"content":" after"}');
    expect(upstream.requests).toHaveLength(1);
  });

  it('takes the policy from the query too, for EventSource', async () => {
    const path = '/v1/chat/stream?q=hi&model=text_tokens-40_ms-10&on_disconnect=continue';
    const call = open({ port: cluster.here.port, path });
    await call.until('data: {"content"');
    const id = await runIdOf(call);
    call.destroy();
    expect(await settled(cluster.there.port, id)).toMatchObject({ status: 'completed' });
  });

  it.each([
    '',
    'Cancel',
    'stay',
    'grace',
    'grace=',
    'grace=-1',
    'grace=x',
    'grace=1e3',
    'continue ',
  ])('refuses the policy %j with 400, and generates nothing', async (policy) => {
    const query = `q=hi&on_disconnect=${encodeURIComponent(policy)}`;
    const call = open({ port: cluster.here.port, path: `/v1/chat/stream?${query}` });
    expect(await answerOf(call)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request', param: 'on_disconnect' } },
    });
    expect(upstream.requests).toHaveLength(0);
  });

  it('forgets a run after RUN_RETENTION_SECONDS, and not before', async () => {
    const { before, after } = await retained;
    expect(before).toEqual(before.map(() => 200));
    expect(after).toEqual(after.map(() => 404));
  });

  it('refuses a bad policy in the header, on every route that starts runs', async () => {
    const headers = { 'sluice-on-disconnect': 'grace=soon' };
    for (const path of ['/v1/chat/stream', '/v1/chat/completions']) {
      const { status, body } = await answerOf(ask(cluster.here.port, 'text', { path, headers }));
      expect([status, body.error.param]).toEqual([400, 'on_disconnect']);
    }
    expect(upstream.requests).toHaveLength(0);
  });
});

describe('ON_DISCONNECT', () => {
  it('is the policy of who asks for none', async () => {
    const app = await startApp({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      ON_DISCONNECT: 'continue',
    });
    try {
      const { id } = await leave(app.port, 'text_tokens-20_ms-5');
      expect(await settled(app.port, id)).toMatchObject({ status: 'completed' });
      const left = await leave(app.port, 'stall', 'cancel');
      expect(await stoppedAfter(left)).toBeLessThan(1_000);
    } finally {
      await app.close();
    }
  });
});

describe('MAX_RETAINED_BYTES', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      // Room for three of the runs below.
      MAX_RETAINED_BYTES: 250_000,
    });
  });
  afterAll(() => app.close());

  it('lets the oldest finished runs go first; their states and live runs stay', async () => {
    const live = ask(app.port, 'stall');
    await live.until('data: {"content"');
    const ids: string[] = [];
    while (ids.length < 6) {
      const call = ask(app.port, 'big_bytes-80000');
      ids.push(await runIdOf(call));
      expect(await call.ended).toBe('complete');
    }

    const statuses: number[] = [];
    for (const id of ids) {
      const call = view(app.port, id);
      statuses.push(await call.status);
      await call.ended;
      expect((await stateOf(app.port, id)).body.status).toBe('completed');
    }
    expect(statuses).toEqual([410, 410, 410, 200, 200, 200]);

    const viewer = view(app.port, await runIdOf(live), { after: 1 });
    await viewer.until(TEXT_TOKENS[2]!);
    viewer.destroy();
    live.destroy();
  });

  it('leaves whoever is reading a run with all of it', async () => {
    const call = ask(app.port, 'big_bytes-600000');
    await call.pause();
    const id = await runIdOf(call);
    await settled(app.port, id);
    expect(await view(app.port, id).status).toBe(410);

    await call.resume();
    expect(await call.ended).toBe('complete');
    expect(eventsOf(call).map(({ event }) => event)).toEqual(['start', 'message', 'done']);
  });
});
