import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { open, type HttpCall } from '../support/http.js';
import {
  answerOf,
  ask,
  cancel,
  eventsOf,
  runIdOf,
  settled,
  stateOf,
  stateWhen,
  view,
  type State,
} from '../support/runs.js';
import { describeStores, type Cluster } from '../support/stores.js';
import { TEXT_TOKENS, startUpstream, type Upstream } from '../support/upstream/index.js';

/** What the tokenizer of OpenAI's newer models makes of `hi` in one message, and of three tokens. */
const ESTIMATED = {
  prompt_tokens: 7,
  completion_tokens: 3,
  total_tokens: 10,
  source: 'estimated',
};
const GENERATED = TEXT_TOKENS.slice(0, 3).join('');

const UNKNOWN = `run_${'0'.repeat(32)}`;
const CONTINUE = { 'sluice-on-disconnect': 'continue' };

let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.reset());
afterAll(() => upstream.close());

describeStores('stop', (store) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await store.start({ OPENAI_BASE_URL: `${upstream.url}/v1` });
  });
  afterAll(() => cluster.close());

  /** A run that goes silent after three tokens, and its first viewer. */
  async function stalled(headers?: Record<string, string>): Promise<[id: string, call: HttpCall]> {
    const call = ask(cluster.here.port, 'stall', { headers });
    await call.until(TEXT_TOKENS[2]!);
    return [await runIdOf(call), call];
  }

  describe('POST /v1/runs/:id/cancel', () => {
    it('closes upstream, ends every viewer with cancelled, and answers the final state', async () => {
      const [id, first] = await stalled();
      const request = await upstream.next();
      const viewers = [first, ...cluster.instances.map(({ port }) => view(port, id))];
      for (const viewer of viewers) await viewer.until(TEXT_TOKENS[2]!);

      const { status, body } = await cancel(cluster.there.port, id);
      expect(status).toBe(200);
      expect(body).toMatchObject({ id, status: 'cancelled', finish_reason: null, error: null });
      expect(body.usage).toEqual(ESTIMATED);
      expect(body.ended_at).not.toBeNull();

      await request.closed;
      expect(request.closedEarly).toBe(true);
      for (const viewer of viewers) {
        expect(await viewer.ended).toBe('complete');
        const events = eventsOf(viewer);
        expect(events.map(({ event }) => event)).toEqual([
          ...['start', 'message', 'message', 'message'],
          'cancelled',
        ]);
        expect(JSON.parse(events.at(-1)!.data)).toEqual({ usage: ESTIMATED });
      }
    });

    it('answers the same when it is asked again, from anywhere, also at once', async () => {
      const [id] = await stalled();
      const ports = [cluster.here.port, cluster.there.port, cluster.here.port, cluster.there.port];
      const answers = await Promise.all(ports.map((port) => cancel(port, id)));
      answers.push(await cancel(cluster.here.port, id));
      await settled(cluster.there.port, id);
      answers.push(await cancel(cluster.there.port, id));

      const [first] = answers;
      expect(first).toMatchObject({ status: 200, body: { status: 'cancelled' } });
      for (const { status, body } of answers) {
        expect({ status, body }).toEqual({ status: 200, body: first!.body });
      }
    });

    it('leaves a run that came to its end as it was', async () => {
      const call = ask(cluster.here.port, 'text');
      await call.ended;
      const id = await runIdOf(call);
      const before = await settled(cluster.there.port, id);
      const { status, body } = await cancel(cluster.there.port, id);
      expect({ status, body }).toEqual({ status: 200, body: before });
      expect(before).toMatchObject({ status: 'completed', finish_reason: 'stop' });
    });

    it('stops a run before its first token, and one whose upstream has not answered', async () => {
      for (const model of ['wait-first', 'wait-headers']) {
        const call = ask(cluster.here.port, model);
        const request = await upstream.next((seen) => seen.model === model);
        const list = open({ port: cluster.here.port, path: '/v1/runs?status=running' });
        const { body } = await answerOf<{ data: State[] }>(list);
        const { id } = body.data[0]!;
        expect((await cancel(cluster.here.port, id)).body.status).toBe('cancelled');

        await request.closed;
        expect(request.closedEarly).toBe(true);
        expect(await call.ended).toBe('complete');
        expect(eventsOf(call).map(({ event }) => event)).toEqual(['start', 'cancelled']);
      }
    });

    it('stops a run that nobody views', async () => {
      const [id, call] = await stalled(CONTINUE);
      const request = await upstream.next();
      call.destroy();
      expect((await cancel(cluster.there.port, id)).body.status).toBe('cancelled');
      await request.closed;
      expect(request.closedEarly).toBe(true);
    });

    it('ends a stream of chunks with an error, a plain answer with 409, plain text with a cut', async () => {
      const completions = '/v1/chat/completions';
      const chunks = ask(cluster.here.port, 'stall', { path: completions, body: { stream: true } });
      const whole = ask(cluster.here.port, 'stall', { path: completions });
      const plain = ask(cluster.here.port, 'stall', { path: '/v1/chat/stream?format=plain' });
      await chunks.until('content');
      await plain.until(GENERATED);
      await upstream.next();
      await upstream.next();
      await upstream.next();
      const list = open({ port: cluster.here.port, path: '/v1/runs?status=running' });
      const { body } = await answerOf<{ data: State[] }>(list);
      expect(body.data).toHaveLength(3);
      for (const { id } of body.data) await cancel(cluster.here.port, id);

      await chunks.ended;
      expect(chunks.text()).toMatch(/data: \{"error":\{[^\n]*"code":"cancelled"\}\}\n\n$/);
      expect(chunks.text()).not.toContain('[DONE]');
      expect(await answerOf(whole)).toMatchObject({
        status: 409,
        body: { error: { code: 'cancelled' } },
      });
      expect(await plain.ended).toBe('truncated');
      expect(plain.text()).toBe(GENERATED);
    });

    it("answers 404 for a run that never was, and for what is no run's id", async () => {
      for (const id of [UNKNOWN, 'x', '%00', 'run_..%2F..', '*']) {
        const path = `/v1/runs/${id}/cancel`;
        const call = open({ port: cluster.there.port, method: 'POST', path });
        expect(await answerOf(call)).toMatchObject({
          status: 404,
          body: { error: { code: 'run_not_found' } },
        });
      }
    });
  });

  describe('GET /v1/runs/:id', () => {
    it('tells what goes on, and what it came to', async () => {
      const call = ask(cluster.here.port, 'text_tokens-40_ms-50');
      await call.until('data: {"content"');
      const id = await runIdOf(call);
      const running = ({ status }: State) => status === 'running';
      expect(await stateWhen(running, cluster.there.port, id)).toMatchObject({
        id,
        object: 'run',
        model: 'text_tokens-40_ms-50',
        target: 'openai/text_tokens-40_ms-50',
        finish_reason: null,
        error: null,
        ended_at: null,
      });

      await call.ended;
      const state = (await settled(cluster.there.port, id)) as State & Record<string, string>;
      expect(state).toMatchObject({
        status: 'completed',
        finish_reason: 'stop',
        usage: { completion_tokens: 40, source: 'provider' },
      });
      const names = ['created_at', 'started_at', 'first_token_at', 'ended_at'] as const;
      const times = names.map((name) => Date.parse(state[name]!));
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(times[3]! - times[2]!).toBeGreaterThan(300);
    });

    it('tells why a run failed, and what it used', async () => {
      const call = ask(cluster.here.port, 'rst-mid');
      await call.ended;
      const state = await settled(cluster.there.port, await runIdOf(call));
      expect(state).toMatchObject({
        status: 'failed',
        finish_reason: null,
        error: { code: 'provider_truncated', retryable: true },
      });
      expect(state.usage).toEqual(ESTIMATED);
      expect(JSON.parse(eventsOf(call).at(-1)!.data)).toMatchObject({ usage: ESTIMATED });
    });

    it('has no usage of a request that was refused', async () => {
      const call = ask(cluster.here.port, 'status-500');
      expect(await call.status).toBe(502);
      const state = await settled(cluster.there.port, await runIdOf(call));
      expect(state).toMatchObject({ status: 'failed', usage: null });
    });

    it("reports the provider's own count of a run that was cut, where there is one", async () => {
      upstream.script('counted', (exchange) => {
        exchange.role();
        exchange.text('Hello');
        exchange.chunk({
          ...{ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'counted' },
          choices: [],
          usage: { prompt_tokens: 100, completion_tokens: 1, total_tokens: 101 },
        });
        exchange.text(' there');
      });
      const call = ask(cluster.here.port, 'counted');
      await call.until(' there');
      const { body } = await cancel(cluster.there.port, await runIdOf(call));
      expect(body.usage).toEqual({
        ...{ prompt_tokens: 100, completion_tokens: 1, total_tokens: 101 },
        source: 'provider',
      });
    });

    it('answers 404 for a run that never was', async () => {
      for (const { port } of cluster.instances) {
        const answer = await stateOf(port, UNKNOWN);
        expect(answer).toMatchObject({ status: 404, body: { error: { code: 'run_not_found' } } });
      }
    });
  });

  describe('GET /v1/runs', () => {
    async function list(port: number, query = ''): Promise<State[]> {
      const call = open({ port, path: `/v1/runs${query}` });
      const { status, body } = await answerOf<{ object: string; data: State[] }>(call);
      expect([status, body.object]).toEqual([200, 'list']);
      return body.data;
    }

    it('lists all of them, the newest first, and those of one status', async () => {
      const finished = ask(cluster.here.port, 'text');
      await finished.ended;
      const failed = ask(cluster.here.port, 'error-mid');
      await failed.ended;
      const [stopped] = await stalled();
      await cancel(cluster.here.port, stopped);
      const [live, viewer] = await stalled();
      const ids = {
        completed: await runIdOf(finished),
        failed: await runIdOf(failed),
        cancelled: stopped,
        running: live,
      };
      for (const id of [ids.completed, ids.failed, stopped]) await settled(cluster.there.port, id);
      await stateWhen(({ status }) => status === 'running', cluster.there.port, live);

      for (const { port } of cluster.instances) {
        const all = (await list(port)).map(({ id }) => id);
        expect(all.slice(0, 4)).toEqual([live, stopped, ids.failed, ids.completed]);
        for (const [status, id] of Object.entries(ids)) {
          const some = await list(port, `?status=${status}`);
          expect(some[0]!.id).toBe(id);
          expect(some.every((state) => state.status === status)).toBe(true);
        }
        expect(await list(port, '?status=running')).toHaveLength(1);
        expect((await list(port, '?limit=2')).map(({ id }) => id)).toEqual([live, stopped]);
      }
      viewer.destroy();
    });

    it.each(['status=paused', 'limit=0', 'limit=101', 'limit=1.5', 'limit=', 'limit=1&limit=2'])(
      'refuses %s with 400',
      async (query) => {
        const call = open({ port: cluster.there.port, path: `/v1/runs?${query}` });
        expect(await answerOf(call)).toMatchObject({
          status: 400,
          body: { error: { code: 'invalid_request', param: query.split('=')[0] } },
        });
      },
    );
  });

  describe('DELETE /v1/runs/:id', () => {
    function remove(port: number, id: string) {
      return answerOf(open({ port, method: 'DELETE', path: `/v1/runs/${id}` }));
    }

    it('forgets a run everywhere', async () => {
      const call = ask(cluster.here.port, 'text');
      await call.ended;
      const id = await runIdOf(call);
      await settled(cluster.there.port, id);
      const other = ask(cluster.here.port, 'text');
      await other.ended;

      expect((await remove(cluster.here.port, id)).status).toBe(204);
      for (const { port } of cluster.instances) {
        expect((await stateOf(port, id)).status).toBe(404);
        expect(await view(port, id, { after: 1 }).status).toBe(404);
        expect((await remove(port, id)).status).toBe(404);
        const path = '/v1/runs';
        const { body } = await answerOf<{ data: State[] }>(open({ port, path }));
        expect(body.data.map((state) => state.id)).not.toContain(id);
      }
      await settled(cluster.there.port, await runIdOf(other));
    });

    it('stops one that goes on, and tells its viewers', async () => {
      const [id, call] = await stalled();
      const request = await upstream.next();
      expect((await remove(cluster.there.port, id)).status).toBe(204);
      await request.closed;
      expect(request.closedEarly).toBe(true);
      expect(await call.ended).toBe('complete');
      expect(eventsOf(call).at(-1)!.event).toBe('cancelled');
      expect((await stateOf(cluster.there.port, id)).status).toBe(404);
    });
  });
});

describeStores('runs of another key', (store) => {
  const ann = { authorization: 'Bearer key-ann' };
  const bob = { authorization: 'Bearer key-bob' };
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await store.start({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      API_KEYS: 'ann:key-ann,bob:key-bob',
    });
  });
  afterAll(() => cluster.close());

  it('can be neither seen, stopped nor forgotten: they are answered like runs that never were', async () => {
    const call = ask(cluster.here.port, 'stall', { headers: ann });
    await call.until(TEXT_TOKENS[2]!);
    const id = await runIdOf(call);
    const routes = [
      ['GET', ''],
      ['GET', '/events'],
      ['POST', '/cancel'],
      ['DELETE', ''],
    ] as const;
    for (const { port } of cluster.instances) {
      for (const [method, route] of routes) {
        const [foreign, unknown] = await Promise.all(
          [id, UNKNOWN].map((run) =>
            answerOf(open({ port, method, path: `/v1/runs/${run}${route}`, headers: bob })),
          ),
        );
        expect(foreign!.status).toBe(404);
        expect(foreign!.body).toEqual(unknown!.body);
        expect(Object.keys(foreign!.headers)).toEqual(Object.keys(unknown!.headers));
      }
      const list = open({ port, path: '/v1/runs', headers: bob });
      expect((await answerOf<{ data: State[] }>(list)).body.data).toEqual([]);
    }
    await stateWhen(({ status }) => status === 'running', cluster.there.port, id, ann);
    expect(upstream.closedEarly).toBe(0);

    expect((await cancel(cluster.there.port, id, ann)).body.status).toBe('cancelled');
    expect(await call.ended).toBe('complete');
  });

  it('need a key at all', async () => {
    for (const path of ['/v1/runs', `/v1/runs/${UNKNOWN}`, `/v1/runs/${UNKNOWN}/events`]) {
      expect(await open({ port: cluster.there.port, path }).status).toBe(401);
    }
  });
});
