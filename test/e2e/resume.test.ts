import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { open, type HttpCall } from '../support/http.js';
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
} from '../support/runs.js';
import { parseSse, type SseEvent } from '../support/sse.js';
import { describeStores, type Cluster } from '../support/stores.js';
import {
  NASTY,
  NASTY_TOKENS,
  TEXT,
  TEXT_TOKENS,
  startUpstream,
  textOf,
  textTokens,
  type Upstream,
} from '../support/upstream/index.js';

const CONTINUE = { headers: { 'sluice-on-disconnect': 'continue' } };

let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.reset());
afterAll(() => upstream.close());

describeStores('resume', (store) => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await store.start({ OPENAI_BASE_URL: `${upstream.url}/v1` });
  });
  afterAll(() => cluster.close());

  /** A run that goes on without viewers, from its first token. */
  async function startRun(model: string): Promise<string> {
    const call = ask(cluster.here.port, model, CONTINUE);
    const id = await runIdOf(call);
    call.destroy();
    return id;
  }

  /** A run that is over. */
  async function finishedRun(model: string): Promise<{ id: string; length: number }> {
    const call = ask(cluster.here.port, model, CONTINUE);
    const id = await runIdOf(call);
    expect(await call.ended).toBe('complete');
    await settled(cluster.there.port, id);
    return { id, length: seqOf(eventsOf(call).at(-1)!) };
  }

  describe('a cut at every event boundary', () => {
    it('loses and repeats nothing while each token comes just when its viewer comes back', async () => {
      let release = () => {};
      upstream.script('stepwise', async (exchange) => {
        exchange.role();
        for (const token of TEXT_TOKENS) {
          await new Promise<void>((resolve) => (release = resolve));
          exchange.text(token);
        }
        exchange.complete();
      });
      const first = ask(cluster.here.port, 'stepwise', CONTINUE);
      await upstream.next();
      release();
      await first.until('data: {"content"');
      const id = await runIdOf(first);
      const seen = eventsOf(first);
      first.destroy();

      // The token comes before its viewer, together with it, or after it was let in.
      const orders = ['before', 'together', 'after'];
      for (let turn = 0; seen.at(-1)!.event !== 'done'; turn += 1) {
        const order = orders[turn % orders.length];
        if (order === 'before') release();
        const { port } = cluster.instances[turn % cluster.instances.length]!;
        const call = view(port, id, { after: seqOf(seen.at(-1)!) });
        if (order === 'together') release();
        if (order === 'after' && (await call.status) === 200) release();
        await call.until(/\n\n$/);
        seen.push(...eventsOf(call));
        call.destroy();
      }

      expect(seen.map(seqOf)).toEqual(upTo(TEXT_TOKENS.length + 2));
      expect(textOfEvents(seen)).toBe(TEXT);
      expect(upstream.requests).toHaveLength(1);
    });

    it.each(['live', 'over'])(
      'json: each event is the next one, of a run that is %s',
      async (phase) => {
        const model = phase === 'live' ? 'text_tokens-40_ms-10' : 'text_tokens-40';
        const id = phase === 'live' ? await startRun(model) : (await finishedRun(model)).id;
        const seen: SseEvent[] = [];
        while (seen.at(-1)?.event !== 'done') {
          const call = view(cluster.there.port, id, { after: seen.length });
          await call.until('\n\n');
          seen.push(eventsOf(call)[0]!);
          call.destroy();
        }
        expect(seen.map(seqOf)).toEqual(upTo(42));
        expect(textOfEvents(seen)).toBe(textOf(40));
      },
    );

    it('json: every kind of event comes back as it was', async () => {
      for (const model of ['reasoning', 'refusal', 'tools', 'nasty', 'azure-frames']) {
        const whole = ask(cluster.here.port, model, CONTINUE);
        await whole.ended;
        const events = eventsOf(whole);
        const id = await runIdOf(whole);
        for (let after = 0; after < events.length; after += 1) {
          const call = view(cluster.there.port, id, { after });
          expect(await call.ended).toBe('complete');
          expect(eventsOf(call)).toEqual(events.slice(after));
        }
      }
    });

    it('text: what follows a cursor is what the whole stream had after it', async () => {
      const { id } = await finishedRun('nasty');
      const whole = view(cluster.there.port, id, { query: 'format=text' });
      await whole.ended;
      const events = eventsOf(whole);
      expect(events.map(seqOf)).toEqual(upTo(NASTY_TOKENS.length + 2).slice(1));

      for (const [index, event] of events.entries()) {
        const call = view(cluster.there.port, id, { after: seqOf(event), query: 'format=text' });
        await call.ended;
        expect(eventsOf(call)).toEqual(events.slice(index + 1));
      }
    });

    it('plain: the text after any event is there, live and later', async () => {
      const tokens = textTokens(40);
      const first = ask(cluster.here.port, 'text_tokens-40_ms-10', CONTINUE);
      const id = await runIdOf(first);
      await first.until(`${id}:21\n`);
      // Event 1 is the start, event 2 the first token; after event 42 nothing is left to be seen.
      for (const [phase, last] of [
        ['live', 21],
        ['over', 41],
      ] as const) {
        const calls = upTo(last).map((after) =>
          view(cluster.there.port, id, { query: `format=plain&starting_after=${after}` }),
        );
        await Promise.all(calls.map((call) => call.ended));
        for (const [index, call] of calls.entries()) {
          expect([phase, call.text()]).toEqual([phase, tokens.slice(index).join('')]);
        }
      }
    });

    it.each(['openai', 'anthropic'])(
      '%s: what follows any frame is what the whole stream had after it',
      async (format) => {
        for (const model of ['tools', 'text', 'length']) {
          const { id } = await finishedRun(model);
          const whole = view(cluster.there.port, id, { query: `format=${format}` });
          expect(await whole.ended).toBe('complete');
          const frames = whole.text().split(/(?<=\n\n)/);
          const ids = frames.map((frame) => /^id: (.*)$/m.exec(frame)![1]!);
          expect(new Set(ids).size).toBe(frames.length);
          for (const [at, lastId] of ids.slice(0, -1).entries()) {
            const path = `/v1/runs/${id}/events?format=${format}`;
            const headers = { 'last-event-id': lastId };
            const call = open({ port: cluster.there.port, path, headers });
            await call.ended;
            expect([lastId, call.text()]).toEqual([lastId, frames.slice(at + 1).join('')]);
          }
        }
      },
    );

    it('openai: the chunks after any event are those of the whole stream', async () => {
      const { id, length } = await finishedRun('tools');
      const whole = view(cluster.there.port, id, { query: 'format=openai' });
      expect(await whole.ended).toBe('complete');
      let longest = whole.text();
      expect(longest).toMatch(/^id: run_\w+:1\.1\ndata: \{.*data: \[DONE\]\n\n$/s);
      for (let after = 1; after < length; after += 1) {
        const query = `format=openai&starting_after=${after}`;
        const call = view(cluster.there.port, id, { query });
        expect(await call.ended).toBe('complete');
        expect(longest.endsWith(call.text())).toBe(true);
        expect(call.text().length).toBeLessThanOrEqual(longest.length);
        longest = call.text();
      }
      expect(longest.split('data: ').length).toBeLessThan(whole.text().split('data: ').length);
    });
  });

  it('loses and repeats nothing over 2,000 random cuts, 50 runs and 150 viewers', async () => {
    const random = randomNumbers(20_260_518);
    const tokens = 120;
    const cutsEach = 14;
    // A whole stream has some 8,000 bytes, so that every viewer is cut that often before its end.
    const maxRead = 500;
    let cuts = 0;

    const watch = async (id: string) => {
      const seen: SseEvent[] = [];
      for (let cut = 0; ; cut += 1) {
        const { port } = cluster.instances[Math.floor(random() * cluster.instances.length)]!;
        const call = view(port, id, { after: seen.at(-1) && seqOf(seen.at(-1)!) });
        if (cut === cutsEach) {
          expect(await call.ended).toBe('complete');
          return [...seen, ...eventsOf(call)];
        }
        const bytes = Math.floor(random() * maxRead);
        await call.untilBytes(bytes, 20_000);
        const leave = random() < 0.5 ? 'destroy' : 'end';
        call[leave]();
        cuts += 1;
        // What came behind those bytes never reached the one who was cut, nor half an event.
        seen.push(...parseSse(call.bytes().subarray(0, bytes).toString()).events);
      }
    };
    const ids = await Promise.all(
      Array.from({ length: 50 }, () => startRun(`text_tokens-${tokens}_ms-25`)),
    );
    const viewers = await Promise.all(ids.flatMap((id) => [watch(id), watch(id), watch(id)]));

    expect(cuts).toBeGreaterThanOrEqual(2_000);
    for (const events of viewers) {
      expect(events.map(seqOf)).toEqual(upTo(tokens + 2));
      expect(textOfEvents(events)).toBe(textOf(tokens));
      expect(events.at(-1)!.event).toBe('done');
    }
    expect(upstream.requests).toHaveLength(50);
    expect(upstream.requests.every(({ sent }) => sent === textOf(tokens))).toBe(true);
    expect(upstream.closedEarly).toBe(0);
  }, 180_000);

  describe('viewers', () => {
    it('join at any time and each see all of it from the start', async () => {
      const first = ask(cluster.here.port, 'text_tokens-20_ms-10', CONTINUE);
      const id = await runIdOf(first);
      const calls = [first];
      for (const tokens of [1, 5, 10, 15]) {
        await first.until(new RegExp(`:${tokens + 1}\n`));
        calls.push(view(cluster.there.port, id));
      }
      await Promise.all(calls.map((call) => call.ended));
      calls.push(view(cluster.there.port, id));
      await calls.at(-1)!.ended;

      const bodies = calls.map((call) => call.text());
      expect(bodies).toEqual(calls.map(() => first.text()));
      expect(textOfEvents(eventsOf(first))).toBe(textOf(20));
    });

    it('read at their own pace: one that stalls keeps nobody waiting, and gets all of it later', async () => {
      const model = 'big_bytes-3000000';
      const whole = ask(cluster.here.port, model, CONTINUE);
      const id = await runIdOf(whole);
      const stalled = view(cluster.there.port, id);
      await stalled.pause();
      const quick = view(cluster.there.port, id);

      expect(await whole.ended).toBe('complete');
      expect(await quick.ended).toBe('complete');
      expect(stalled.bytes().length).toBeLessThan(3_000_000);
      await stalled.resume();
      expect(await stalled.ended).toBe('complete');
      expect(stalled.bytes().equals(whole.bytes())).toBe(true);
      expect(quick.bytes().equals(whole.bytes())).toBe(true);
    });

    it('see the same run in a format of their own', async () => {
      const id = await startRun('nasty_ms-20');
      const formats = ['json', 'text', 'plain', 'openai'];
      const calls = formats.map((format) =>
        view(cluster.there.port, id, { query: `format=${format}` }),
      );
      await Promise.all(calls.map((call) => call.ended));

      expect(textOfEvents(eventsOf(calls[0]!))).toBe(NASTY);
      // A lone surrogate has no bytes in UTF-8; the pair that was cut is whole again.
      const asUtf8 = (text: string) => Buffer.from(text).toString();
      const lines = NASTY_TOKENS.map((token) => token.replace(/\r\n?/g, '\n')).join('');
      const texts = eventsOf(calls[1]!);
      expect(texts.pop()).toMatchObject({ event: 'done', data: '[DONE]' });
      expect(texts.map(({ data }) => data).join('')).toBe(asUtf8(lines));
      expect(calls[2]!.text()).toBe(asUtf8(NASTY));
      expect(calls[3]!.text()).toMatch(/data: \[DONE\]\n\n$/);
      expect(upstream.requests).toHaveLength(1);
    });

    it('resume through GET /v1/chat/stream too, which then starts nothing', async () => {
      const { id } = await finishedRun('text');
      for (const path of ['/v1/chat/stream', '/v1/chat/stream?q=something%20else']) {
        const headers = { 'last-event-id': `${id}:3` };
        const call = open({ port: cluster.there.port, path, headers });
        expect(await call.ended).toBe('complete');
        const events = eventsOf(call);
        expect(events.map(seqOf)).toEqual(upTo(TEXT_TOKENS.length + 2).slice(3));
        expect(textOfEvents(events)).toBe(TEXT_TOKENS.slice(2).join(''));
        expect((await call.headers)['sluice-run-id']).toBe(id);
      }
      expect(upstream.requests).toHaveLength(1);
    });

    it('resume through POST /v1/chat/stream, whose clients repeat the request', async () => {
      const { id, length } = await finishedRun('text');
      const again = (after: number) =>
        ask(cluster.there.port, 'text', { headers: { 'last-event-id': `${id}:${after}` } });
      const call = again(3);
      expect(await call.ended).toBe('complete');
      expect(eventsOf(call).map(seqOf)).toEqual(upTo(length).slice(3));
      expect(await again(length).status).toBe(204);
      expect(upstream.requests).toHaveLength(1);
    });

    it('start after a number given in the query; a Last-Event-ID is newer', async () => {
      const { id, length } = await finishedRun('text');
      const query = 'starting_after=4';
      const call = view(cluster.there.port, id, { query });
      await call.ended;
      expect(eventsOf(call).map(seqOf)).toEqual(upTo(length).slice(4));

      // EventSource repeats the URL it began with.
      const again = view(cluster.there.port, id, { query, after: 7 });
      await again.ended;
      expect(eventsOf(again).map(seqOf)).toEqual(upTo(length).slice(7));
    });

    it('resume failed and stopped runs up to their end', async () => {
      const failed = ask(cluster.here.port, 'error-mid');
      await failed.ended;
      const stopped = ask(cluster.here.port, 'stall');
      await stopped.until('data: {"content"');
      await cancel(cluster.there.port, await runIdOf(stopped));
      await stopped.ended;

      for (const call of [failed, stopped]) {
        const again = view(cluster.there.port, await runIdOf(call), { after: 2 });
        expect(await again.ended).toBe('complete');
        expect(eventsOf(again)).toEqual(eventsOf(call).slice(2));
      }
      expect(eventsOf(failed).at(-1)!.event).toBe('error');
      expect(eventsOf(stopped).at(-1)!.event).toBe('cancelled');
    });
  });

  describe('cursors', () => {
    let id: string;
    let length: number;
    beforeAll(async () => {
      ({ id, length } = await finishedRun('text'));
    });

    const CHAT = '/v1/chat/stream';
    const EVENTS = () => `/v1/runs/${id}/events`;

    function resume(path: string, lastEventId: string): HttpCall {
      const headers = { 'last-event-id': lastEventId };
      return open({ port: cluster.there.port, path, headers });
    }

    async function expectRefusal(call: HttpCall, status: number, code: string) {
      const answer = await answerOf(call);
      expect(answer).toMatchObject({ status, body: { error: { code } } });
      expect(answer.headers['content-type']).toMatch(/^application\/json/);
      expect(answer.headers['sluice-run-id']).toBeUndefined();
    }

    it('are answered 204 when they have seen the end, so that EventSource stops', async () => {
      for (const path of [CHAT, `${CHAT}?q=hi`, EVENTS()]) {
        const call = resume(path, `${id}:${length}`);
        expect(await call.status).toBe(204);
        expect(await call.ended).toBe('complete');
        expect(call.text()).toBe('');
      }
      const query = `starting_after=${length}`;
      for (const format of ['json', 'text', 'plain', 'openai']) {
        const call = view(cluster.there.port, id, { query: `${query}&format=${format}` });
        expect(await call.status).toBe(204);
      }
    });

    it.each([
      'nonsense',
      'run_7f',
      ':',
      'run_7f:',
      'run_7f:x',
      'run_7f:1:2',
      'run_7f:1.',
      'run_7f:1.2.3',
      'run_7f:-1',
      'run_7f:1e3',
      'run_7f:0x10',
      'run_7f: 1',
      'run_7f:99999999999999999999',
      '7',
    ])('are refused with 400 when they are garbage: %s', async (cursor) => {
      await expectRefusal(resume(CHAT, cursor), 400, 'invalid_request');
      await expectRefusal(resume(EVENTS(), cursor), 400, 'invalid_request');
    });

    it.each(['-1', 'x', '', '1%00', '%00', '1.5', '1e3', '1&starting_after=2', '9'.repeat(20)])(
      'are refused with 400 when starting_after is %j',
      async (value) => {
        const call = view(cluster.there.port, id, { query: `starting_after=${value}` });
        await expectRefusal(call, 400, 'invalid_request');
      },
    );

    it('are refused with 400 when they are ahead of a run that is over', async () => {
      for (const after of [length + 1, 10 ** 12]) {
        await expectRefusal(resume(CHAT, `${id}:${after}`), 400, 'invalid_request');
        await expectRefusal(resume(EVENTS(), `${id}:${after}`), 400, 'invalid_request');
        const query = `starting_after=${after}`;
        await expectRefusal(view(cluster.there.port, id, { query }), 400, 'invalid_request');
      }
    });

    it('are refused with 400 when they are ahead of a live run on its owner', async () => {
      const call = ask(cluster.here.port, 'stall');
      await call.until('data: {"content"');
      const live = await runIdOf(call);
      await expectRefusal(view(cluster.here.port, live, { after: 1000 }), 400, 'invalid_request');
      call.destroy();
    });

    it('are refused with 404 when their run never was, or another one is asked for', async () => {
      const unknown = `run_${'0'.repeat(32)}`;
      await expectRefusal(resume(CHAT, `${unknown}:1`), 404, 'run_not_found');
      await expectRefusal(resume(`/v1/runs/${unknown}/events`, ''), 404, 'run_not_found');
      await expectRefusal(view(cluster.there.port, '%00'), 404, 'run_not_found');
      const other = await finishedRun('text');
      await expectRefusal(resume(EVENTS(), `${other.id}:1`), 404, 'run_not_found');
    });

    it('start no run when they are refused, whatever the URL asks', async () => {
      const before = upstream.requests.length;
      const path = `${CHAT}?q=hi&model=text`;
      await expectRefusal(resume(path, 'nonsense'), 400, 'invalid_request');
      await expectRefusal(resume(path, `run_${'0'.repeat(32)}:1`), 404, 'run_not_found');
      expect(upstream.requests).toHaveLength(before);
    });
  });
});

describeStores('resume by others', (store) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await store.start({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      API_KEYS: 'ann:key-ann,bob:key-bob',
    });
  });
  afterAll(() => cluster.close());

  it('answers 404 for the run of another key, just as for one that never was', async () => {
    const ann = { authorization: 'Bearer key-ann' };
    const bob = { authorization: 'Bearer key-bob' };
    const call = ask(cluster.here.port, 'stall', { headers: ann });
    await call.until('data: {"content"');
    const id = await runIdOf(call);
    const unknown = `run_${'0'.repeat(32)}`;

    for (const [run, headers, status] of [
      [id, ann, 200],
      [id, bob, 404],
      [unknown, bob, 404],
      [unknown, ann, 404],
    ] as const) {
      for (const path of ['/v1/chat/stream', `/v1/runs/${run}/events`]) {
        const cursor = { 'last-event-id': `${run}:1` };
        const viewer = open({ port: cluster.there.port, path, headers: { ...headers, ...cursor } });
        expect([path, await viewer.status]).toEqual([path, status]);
        if (status === 200) viewer.destroy();
        else expect((await answerOf(viewer)).body.error.code).toBe('run_not_found');
      }
    }
    call.destroy();
  });
});

describeStores('runs whose events had to go', (store) => {
  /** Redis still has what one instance's memory had no room for. */
  const status = store.name === 'redis' ? 200 : 410;

  it(`answer ${status} to a cursor, and their state`, async () => {
    const cluster = await store.start({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      MAX_RETAINED_BYTES: 0,
    });
    try {
      const call = ask(cluster.here.port, 'text');
      await call.ended;
      const id = await runIdOf(call);

      for (const path of ['/v1/chat/stream', `/v1/runs/${id}/events`]) {
        const headers = { 'last-event-id': `${id}:3` };
        const viewer = open({ port: cluster.here.port, path, headers });
        expect(await viewer.status).toBe(status);
        const answer = await answerOf(viewer);
        if (status === 410) expect(answer.body.error.code).toBe('resume_gap');
        else expect(eventsOf(viewer)).toEqual(eventsOf(call).slice(3));
      }
      expect((await stateOf(cluster.here.port, id)).body).toMatchObject({
        id,
        status: 'completed',
        finish_reason: 'stop',
        usage: { completion_tokens: TEXT_TOKENS.length, source: 'provider' },
      });
    } finally {
      await cluster.close();
    }
  });

  it(`answer ${status} to their idempotency key`, async () => {
    const cluster = await store.start({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      MAX_RETAINED_BYTES: 0,
    });
    try {
      const send = () =>
        ask(cluster.here.port, 'text', { headers: { 'idempotency-key': 'one of these runs' } });
      const first = send();
      await first.ended;
      const again = send();
      expect(await again.status).toBe(status);
      await again.ended;
      if (status === 200) expect(again.text()).toBe(first.text());
    } finally {
      await cluster.close();
    }
  });
});

/** Mulberry32: the same numbers from 0 to 1 in every run of the test. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
