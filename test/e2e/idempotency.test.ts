import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChatError } from '../../src/errors/chat-error.js';
import { DrainService } from '../../src/runs/drain.service.js';
import { RUN_STORE, type RunStore } from '../../src/runs/run-store.js';
import type { Run } from '../../src/runs/run.js';
import { UsageEstimator } from '../../src/runs/usage-estimator.js';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall } from '../support/http.js';
import {
  answerOf,
  ask,
  cancel,
  eventsOf,
  runIdOf,
  settled,
  stateWhen,
  textOfEvents,
  type State,
} from '../support/runs.js';
import { describeStores, type Cluster } from '../support/stores.js';
import { TEXT, startUpstream, textOf, type Upstream } from '../support/upstream/index.js';

const COMPLETIONS = '/v1/chat/completions';

let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.reset());
afterAll(() => upstream.close());

function isViewed({ state }: Run): boolean {
  return state.started_at !== null;
}

/** A key that no other test uses. */
let keys = 0;
function newKey(): string {
  return `key ${(keys += 1)}`;
}

describeStores('idempotency', (store) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await store.start({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      API_KEYS: 'ann:key-ann,bob:key-bob',
      MAX_ATTEMPTS: 1,
    });
  });
  afterAll(() => cluster.close());

  interface Asked {
    model?: string;
    path?: string;
    body?: object;
    who?: 'ann' | 'bob';
    policy?: string;
  }

  function send(
    { port }: { port: number },
    key: string,
    { model = 'text', path, body, who = 'ann', policy }: Asked = {},
  ): HttpCall {
    const headers = {
      authorization: `Bearer key-${who}`,
      'idempotency-key': key,
      ...(policy !== undefined && { 'sluice-on-disconnect': policy }),
    };
    return ask(port, model, { path, body, headers });
  }

  async function finished(call: HttpCall): Promise<string> {
    expect(await call.ended).toBe('complete');
    expect(await call.status).toBe(200);
    const id = await runIdOf(call);
    await settled(cluster.there.port, id, { authorization: 'Bearer key-ann' });
    return id;
  }

  describe('the same key and body', () => {
    it('attach to the live run, and see all of it', async () => {
      const key = newKey();
      const model = 'text_tokens-40_ms-10';
      const first = send(cluster.here, key, { model });
      await first.until('data: {"content"');
      const second = send(cluster.there, key, { model });
      expect(await runIdOf(second)).toBe(await runIdOf(first));

      await Promise.all([first.ended, second.ended]);
      expect(second.text()).toBe(first.text());
      expect(textOfEvents(eventsOf(second))).toBe(textOf(40));
      expect(upstream.requests).toHaveLength(1);
    });

    it('replay the run that came to its end, byte for byte', async () => {
      const key = newKey();
      const first = send(cluster.here, key);
      await finished(first);
      for (const instance of cluster.instances) {
        const again = send(instance, key);
        await finished(again);
        expect(again.bytes().equals(first.bytes())).toBe(true);
      }
      expect(upstream.requests).toHaveLength(1);
    });

    it('are the same in quotes, as the draft of the header has it', async () => {
      const key = newKey();
      const first = await finished(send(cluster.here, key));
      expect(await finished(send(cluster.there, `"${key}"`))).toBe(first);
      expect(upstream.requests).toHaveLength(1);
    });

    it('are one generation when both come at once', async () => {
      for (let round = 0; round < 10; round += 1) {
        const key = newKey();
        const both = [send(cluster.here, key), send(cluster.there, key)];
        await Promise.all(both.map((call) => call.ended));
        expect(both.map((call) => textOfEvents(eventsOf(call)))).toEqual([TEXT, TEXT]);
        expect(upstream.requests).toHaveLength(round + 1);
      }
    });

    it('are one generation when fifty come at once', async () => {
      const key = newKey();
      const calls = Array.from({ length: 50 }, (_, index) =>
        send(cluster.instances[index % cluster.instances.length]!, key),
      );
      await Promise.all(calls.map((call) => call.ended));

      expect(new Set(calls.map((call) => call.text())).size).toBe(1);
      expect(textOfEvents(eventsOf(calls[0]!))).toBe(TEXT);
      expect(upstream.requests).toHaveLength(1);
    });

    it('keep a run for who joins it, though the first leaves at that moment', async () => {
      const key = newKey();
      const model = 'text_tokens-40_ms-10';
      const first = send(cluster.here, key, { model });
      await first.until('data: {"content"');
      const runs = cluster.here.app.get<RunStore>(RUN_STORE);
      const remove = runs.remove.bind(runs);
      const removing = jest.spyOn(runs, 'remove').mockImplementationOnce(async (run) => {
        first.destroy();
        await sleep(100);
        await remove(run);
      });

      const second = send(cluster.here, key, { model });
      await second.ended;
      expect(removing).toHaveBeenCalledTimes(1);
      removing.mockRestore();
      expect(textOfEvents(eventsOf(second))).toBe(textOf(40));
      expect(eventsOf(second).at(-1)!.event).toBe('done');
    });

    it('are refused together where the first is not let in', async () => {
      const key = newKey();
      const runs = cluster.here.app.get<RunStore>(RUN_STORE);
      const drain = cluster.here.app.get(DrainService);
      const claim = runs.claim.bind(runs);
      let second!: HttpCall;
      jest.spyOn(runs, 'claim').mockImplementationOnce(async (...claimed) => {
        const holder = await claim(...claimed);
        second = send(cluster.here, key);
        await eventually(() => expect(runs.live().some(isViewed)).toBe(true));
        return holder;
      });
      jest.spyOn(drain, 'expectOpen').mockImplementationOnce(() => {
        throw new ChatError('shutting_down', 'The server is shutting down.');
      });

      const first = send(cluster.here, key);
      expect([await first.status, await second.status]).toEqual([503, 503]);
      expect(upstream.requests).toHaveLength(0);
      jest.restoreAllMocks();
    });

    it('keep a run for who comes back though the first has left within the grace', async () => {
      const key = newKey();
      const model = 'text_tokens-40_ms-10';
      const first = send(cluster.here, key, { model, policy: 'grace=10' });
      await first.until('data: {"content"');
      const id = await runIdOf(first);
      first.destroy();

      const again = send(cluster.there, key, { model, policy: 'grace=10' });
      expect(await finished(again)).toBe(id);
      expect(textOfEvents(eventsOf(again))).toBe(textOf(40));
      expect(upstream.requests).toHaveLength(1);
    });

    it('work on GET, with the key in the query', async () => {
      const key = encodeURIComponent(newKey());
      const path = `/v1/chat/stream?q=hi&model=text&idempotency_key=${key}`;
      const headers = { authorization: 'Bearer key-ann' };
      const ids: string[] = [];
      for (const { port } of [cluster.here, cluster.there, cluster.here]) {
        ids.push(await finished(open({ port, path, headers })));
      }
      expect(new Set(ids).size).toBe(1);
      expect(upstream.requests).toHaveLength(1);
    });
  });

  describe('on /v1/chat/completions', () => {
    it('answers the same completion again', async () => {
      const key = newKey();
      const first = send(cluster.here, key, { path: COMPLETIONS });
      await finished(first);
      const again = send(cluster.there, key, { path: COMPLETIONS });
      await finished(again);

      expect(JSON.parse(again.text())).toEqual(JSON.parse(first.text()));
      expect(again.text()).toContain(JSON.stringify(TEXT));
      expect(upstream.requests).toHaveLength(1);
    });

    it('compares bodies without stream: either way shows the same run', async () => {
      for (const [before, after] of [
        [true, false],
        [false, true],
        [undefined, true],
      ]) {
        upstream.reset();
        const key = newKey();
        const first = send(cluster.here, key, { path: COMPLETIONS, body: { stream: before } });
        const id = await finished(first);
        const again = send(cluster.there, key, { path: COMPLETIONS, body: { stream: after } });
        expect(await finished(again)).toBe(id);
        expect(again.text().startsWith('data: ')).toBe(after);
        expect(upstream.requests).toHaveLength(1);
      }
    });
  });

  describe('another body', () => {
    it.each([
      ['another model', { model: 'echo' }],
      ['another parameter', { body: { temperature: 0.5 } }],
      ['another message', { body: { messages: [{ role: 'user', content: 'ho' }] } }],
    ])('is refused with 422: %s', async (_case, other) => {
      const key = newKey();
      await finished(send(cluster.here, key));
      for (const instance of cluster.instances) {
        const answer = await answerOf(send(instance, key, other));
        expect(answer).toMatchObject({
          status: 422,
          body: { error: { code: 'idempotency_mismatch' } },
        });
        expect(answer.headers['x-should-retry']).toBe('false');
      }
      expect(upstream.requests).toHaveLength(1);
      // Whoever had it has it still.
      await finished(send(cluster.there, key));
      expect(upstream.requests).toHaveLength(1);
    });

    it('is refused while the first goes on, which it does not disturb', async () => {
      const key = newKey();
      const first = send(cluster.here, key, { model: 'text_tokens-30_ms-10' });
      await first.until('data: {"content"');
      expect(await send(cluster.there, key).status).toBe(422);
      expect(await first.ended).toBe('complete');
      expect(textOfEvents(eventsOf(first))).toBe(textOf(30));
    });
  });

  describe('a run that did not come to its end releases its key:', () => {
    it.each(['status-500_times-1', 'error-mid_times-1', 'rst-mid_times-1'])(
      'it failed, %s',
      async (model) => {
        const key = newKey();
        const first = send(cluster.here, key, { model });
        await first.ended;
        const id = await runIdOf(first);
        await settled(cluster.there.port, id, { authorization: 'Bearer key-ann' });

        const again = send(cluster.there, key, { model });
        expect(await finished(again)).not.toBe(id);
        expect(textOfEvents(eventsOf(again))).toBe(TEXT);
        expect(upstream.requests).toHaveLength(2);
      },
    );

    it('it failed, also for a request that was mended', async () => {
      const key = newKey();
      const first = send(cluster.here, key, { model: 'status-400_times-1' });
      expect(await first.status).toBe(400);
      await settled(cluster.there.port, await runIdOf(first), { authorization: 'Bearer key-ann' });

      const mended = send(cluster.there, key, { body: { temperature: 0.5 } });
      await finished(mended);
      expect(textOfEvents(eventsOf(mended))).toBe(TEXT);
    });

    it('it was stopped', async () => {
      const key = newKey();
      const model = 'stall_times-1';
      const first = send(cluster.here, key, { model });
      await first.until('data: {"content"');
      const id = await runIdOf(first);
      await cancel(cluster.there.port, id, { authorization: 'Bearer key-ann' });

      const again = send(cluster.there, key, { model });
      expect(await finished(again)).not.toBe(id);
      expect(upstream.requests).toHaveLength(2);
    });

    it('it was stopped, also while its tokens are counted', async () => {
      const key = newKey();
      const model = 'stall_times-1';
      const usage = cluster.here.app.get(UsageEstimator);
      const estimate = usage.estimate.bind(usage);
      let count = () => {};
      const counting = new Promise<void>((resolve) => (count = resolve));
      const counts = jest.spyOn(usage, 'estimate').mockImplementation(async (...asked) => {
        await counting;
        return estimate(...asked);
      });
      try {
        const first = send(cluster.here, key, { model });
        await first.until('data: {"content"');
        const id = await runIdOf(first);
        const stopped = cancel(cluster.here.port, id, { authorization: 'Bearer key-ann' });
        await (
          await upstream.next()
        ).closed;
        const isStopped = ({ status }: State) => status === 'cancelled';
        const ann = { authorization: 'Bearer key-ann' };
        const { ended_at } = await stateWhen(isStopped, cluster.there.port, id, ann);
        expect(ended_at).toBeNull();

        const again = send(cluster.there, key, { model });
        expect(await again.ended).toBe('complete');
        expect(textOfEvents(eventsOf(again))).toBe(TEXT);
        count();
        expect((await stopped).body).toMatchObject({ id, usage: { source: 'estimated' } });
        await first.ended;
        expect(eventsOf(first).at(-1)!.event).toBe('cancelled');
      } finally {
        counts.mockRestore();
        count();
      }
    });

    it('everybody left', async () => {
      const key = newKey();
      const model = 'stall_times-1';
      const first = send(cluster.here, key, { model });
      await first.until('data: {"content"');
      const id = await runIdOf(first);
      first.destroy();
      await settled(cluster.there.port, id, { authorization: 'Bearer key-ann' });

      const again = send(cluster.there, key, { model });
      expect(await finished(again)).not.toBe(id);
      expect(upstream.requests).toHaveLength(2);
    });

    it('it was forgotten', async () => {
      const key = newKey();
      const id = await finished(send(cluster.here, key));
      const headers = { authorization: 'Bearer key-ann' };
      const path = `/v1/runs/${id}`;
      await open({ port: cluster.there.port, method: 'DELETE', path, headers }).ended;

      expect(await finished(send(cluster.there, key))).not.toBe(id);
      expect(upstream.requests).toHaveLength(2);
    });

    it('whereupon simultaneous retries are one generation again', async () => {
      const key = newKey();
      const model = 'status-500_times-1';
      const first = send(cluster.here, key, { model });
      expect(await first.status).toBe(502);
      const id = await runIdOf(first);
      await settled(cluster.there.port, id, { authorization: 'Bearer key-ann' });
      const retries = Array.from({ length: 10 }, (_, index) =>
        send(cluster.instances[index % cluster.instances.length]!, key, { model }),
      );
      await Promise.all(retries.map((call) => call.ended));
      for (const call of retries) expect(textOfEvents(eventsOf(call))).toBe(TEXT);
      expect(upstream.requests).toHaveLength(2);
    });
  });

  describe('a key', () => {
    it("means nothing to another API key's requests", async () => {
      const key = newKey();
      const ann = await finished(send(cluster.here, key));
      const bob = send(cluster.there, key, { who: 'bob', model: 'echo' });
      expect(await bob.ended).toBe('complete');
      expect([await bob.status, (await runIdOf(bob)) === ann]).toEqual([200, false]);
      expect(upstream.requests).toHaveLength(2);
    });

    it('means the same with a slash at the end of the route', async () => {
      const key = newKey();
      const ids = [
        await finished(send(cluster.here, key, { path: COMPLETIONS })),
        await finished(send(cluster.there, key, { path: `${COMPLETIONS}/` })),
      ];
      expect(ids[1]).toBe(ids[0]);
      expect(upstream.requests).toHaveLength(1);
    });

    it('means nothing on another route', async () => {
      const key = newKey();
      const ids = [
        await finished(send(cluster.here, key)),
        await finished(send(cluster.there, key, { path: COMPLETIONS })),
      ];
      const query = `q=hi&model=text&idempotency_key=${encodeURIComponent(key)}`;
      const path = `/v1/chat/stream?${query}`;
      const headers = { authorization: 'Bearer key-ann' };
      ids.push(await finished(open({ port: cluster.there.port, path, headers })));
      expect(new Set(ids).size).toBe(3);
      expect(upstream.requests).toHaveLength(3);
    });

    it('is refused with 400 when it is empty or endless', async () => {
      for (const key of ['""', 'x'.repeat(256), `"${'x'.repeat(256)}"`]) {
        expect(await answerOf(send(cluster.here, key))).toMatchObject({
          status: 400,
          body: { error: { code: 'invalid_request', param: 'idempotency_key' } },
        });
      }
      expect(upstream.requests).toHaveLength(0);
      await finished(send(cluster.here, 'x'.repeat(255)));
    });

    it('that is not sent makes every request a run of its own', async () => {
      const headers = { authorization: 'Bearer key-ann' };
      const calls = [1, 2].map(() => ask(cluster.here.port, 'text', { headers }));
      const ids = await Promise.all(calls.map((call) => finished(call)));
      expect(ids[0]).not.toBe(ids[1]);
      expect(upstream.requests).toHaveLength(2);
    });
  });
});
