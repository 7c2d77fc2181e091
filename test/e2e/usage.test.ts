import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { lastValueFrom, type Subscription } from 'rxjs';
import { RunRecords, type RunRecord } from '../../src/runs/run-record.js';
import { RUN_STORE, type RunStore } from '../../src/runs/run-store.js';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open } from '../support/http.js';
import { answerOf, ask, cancel, runIdOf, view, type Failure } from '../support/runs.js';
import { describeStores, type Cluster } from '../support/stores.js';
import { PROMPT_TOKENS } from '../support/upstream/wire.js';
import { startUpstream, TEXT, TEXT_TOKENS, type Upstream } from '../support/upstream/index.js';

/** Streams whose clients leave. */
const LEFT = 20;

let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.reset());
afterAll(() => upstream.close());

interface Row extends Record<string, number | string> {
  date: string;
  model: string;
  total_tokens: number;
}

interface UsageList {
  start: string;
  end: string;
  data: Row[];
  total: Record<string, number>;
}

function usageOf<T = UsageList>(port: number, { query = '', key = 'a' } = {}) {
  const headers = { authorization: `Bearer key-${key}` };
  return answerOf<T>(open({ port, path: `/v1/usage${query}`, headers }));
}

const asA = { authorization: 'Bearer key-a' };
const today = () => new Date().toISOString().slice(0, 10);

describeStores('usage', (store) => {
  let cluster: Cluster;
  let records: RunRecord[];
  let subscriptions: Subscription[];

  // One store a test, so that what it counts is the test's own.
  beforeEach(async () => {
    cluster = await store.start({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      API_KEYS: 'a:key-a,b:key-b',
    });
    records = [];
    subscriptions = cluster.instances.map(({ app }) =>
      app.get(RunRecords).subscribe((record) => records.push(record)),
    );
  });
  afterEach(async () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
    await cluster.close();
  });

  it('is told to its own key, by model and day', async () => {
    const { here, there } = cluster;
    await ask(here.port, 'text', { headers: asA }).ended;
    await ask(there.port, 'text', { headers: asA }).ended;
    await ask(here.port, 'no-usage', { headers: asA }).ended;

    await eventually(async () => {
      const { status, body } = await usageOf(there.port);
      expect(status).toBe(200);
      const [estimated, provided] = body.data;
      const completion = TEXT_TOKENS.length;
      expect(provided).toEqual({
        date: today(),
        model: 'openai/text',
        runs: 2,
        completed: 2,
        failed: 0,
        cancelled: 0,
        prompt_tokens: 2 * PROMPT_TOKENS,
        cached_tokens: 0,
        completion_tokens: 2 * completion,
        reasoning_tokens: 0,
        total_tokens: 2 * (PROMPT_TOKENS + completion),
        estimated_tokens: 0,
        unseen_tokens: 0,
        bytes: 2 * Buffer.byteLength(TEXT),
      });
      expect(estimated).toMatchObject({ model: 'openai/no-usage', runs: 1 });
      expect(estimated!.estimated_tokens).toBe(estimated!.total_tokens);
      expect(body.total).toMatchObject({
        runs: 3,
        total_tokens: provided!.total_tokens + estimated!.total_tokens,
      });
    });
    expect((await usageOf(here.port, { key: 'b' })).body).toMatchObject({
      data: [],
      total: { runs: 0 },
    });
    expect((await usageOf(here.port, { query: '?model=openai/text' })).body.total.runs).toBe(2);
    expect((await usageOf(here.port, { query: '?end=2026-01-31' })).body).toMatchObject({
      start: '2026-01-02',
      end: '2026-01-31',
      data: [],
    });
  });

  it('is what upstream reported, and what it had sent where a stream was cut', async () => {
    const ports = cluster.instances.map(({ port }) => port);
    const reads = ['text_tokens-40', 'reasoning', 'tools', 'choices-2', 'usage-on-finish'];
    const breaks = ['no-usage', 'rst-mid_after-60', 'fin-mid_after-90', 'eof-mid_after-75'];
    const refused = ['status-429', 'rst-first'];
    await Promise.all(
      [...reads, ...breaks, ...refused].flatMap((model) =>
        ports.map(async (port) => {
          // Only this format shows two choices.
          await ask(port, model, {
            path: '/v1/chat/stream?format=openai',
            headers: asA,
            body: { ...(model === 'choices-2' && { n: 2 }) },
          }).ended;
        }),
      ),
    );
    await Promise.all(
      Array.from({ length: LEFT }, async (_, index) => {
        const port = ports[index % ports.length]!;
        const call = ask(port, 'slow_tokens-2000_ms-2', { headers: asA });
        const id = await runIdOf(call);
        // So much that the one piece that is under way when it is cut makes little difference.
        await call.until(`:${300 + 10 * index}\n`, 30_000);
        if (index % 3 === 0) await cancel(port, id, asA);
        else call.destroy();
      }),
    );

    const started = (reads.length + breaks.length + refused.length) * ports.length + LEFT;
    await eventually(() => expect(records).toHaveLength(started), 5_000);
    const reporting = upstream.requests.filter(({ reported }) => reported !== undefined);
    const cut = upstream.requests.filter(
      ({ reported, sent }) => reported === undefined && sent !== '',
    );
    expect([reporting.length, cut.length]).toEqual([
      reads.length * ports.length,
      breaks.length * ports.length + LEFT,
    ]);

    const provided = records.filter(({ token_source }) => token_source === 'provider');
    expect(provided).toHaveLength(reporting.length);
    expect(sum(provided.map((record) => record.completion_tokens))).toBe(
      sum(reporting.map(({ reported }) => reported!)),
    );
    expect(sum(provided.map((record) => record.prompt_tokens))).toBe(
      reporting.length * PROMPT_TOKENS,
    );

    const estimated = records.filter(({ token_source }) => token_source === 'estimated');
    expect(estimated).toHaveLength(cut.length);
    const counted = sum(estimated.map((record) => record.completion_tokens));
    const sent = sum(cut.map((request) => countTokens(request.sent)));
    if (process.env.SHOW_FIGURES) console.log({ counted, sent, difference: counted / sent - 1 });
    expect(Math.abs(counted / sent - 1)).toBeLessThan(0.02);

    // A refusal used nothing.
    const refusals = records.filter(({ token_source }) => token_source === null);
    expect(refusals.map(({ total_tokens }) => total_tokens)).toEqual(refusals.map(() => 0));

    await eventually(async () => {
      const { body } = await usageOf(cluster.here.port);
      expect(body.total).toMatchObject({
        runs: records.length,
        total_tokens: sum(records.map(({ total_tokens }) => total_tokens)),
        completion_tokens: sum(records.map(({ completion_tokens }) => completion_tokens)),
      });
    });
  }, 60_000);

  it('tells what was generated when nobody was there, wherever the viewers were', async () => {
    const { here, there } = cluster;
    const model = 'slow_tokens-200_ms-20';
    const headers = { ...asA, 'sluice-on-disconnect': 'continue' };
    const call = ask(here.port, model, { headers });
    const id = await runIdOf(call);
    const other = view(there.port, id, { headers: asA });
    await other.until(':20\n');
    call.destroy();
    await other.until(':50\n');
    other.destroy();
    await eventually(() => expect(records).toHaveLength(1), 10_000);

    const [record] = records;
    expect(record).toMatchObject({ status: 'completed', completion_tokens: 200, viewers: 2 });
    expect(record!.unseen_tokens).toBeGreaterThan(100);
    expect(record!.unseen_tokens).toBeLessThan(152);
  });

  it('is counted by the time that a run has ended, whoever asks for it then', async () => {
    const { app, port } = cluster.here;
    const call = ask(port, 'slow_tokens-2000_ms-20', { headers: asA });
    const id = await runIdOf(call);
    await call.until(':20\n');
    const { log } = app
      .get<RunStore>(RUN_STORE)
      .live()
      .find((run) => run.id === id)!;
    const counted = lastValueFrom(log, { defaultValue: undefined }).then(() => records.length);
    await cancel(port, id, asA);
    expect(await counted).toBe(1);
  });
});

describe('what is asked of usage', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ API_KEYS: 'a:key-a' });
  });
  afterAll(() => app.close());

  it.each([
    ['?start=yesterday', 'start'],
    ['?end=2026-02-30', 'end'],
    ['?start=2026-02-02&end=2026-02-01', 'start'],
    ['?start=2020-01-01&end=2026-01-01', 'start'],
    ['?model=a&model=b', 'model'],
  ])('is refused where it makes no sense: %s', async (query, param) => {
    const { status, body } = await usageOf<Failure>(app.port, { query });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 'invalid_request', param });
  });

  it('is refused without a key', async () => {
    expect((await usageOf(app.port, { key: 'wrong' })).status).toBe(401);
  });
});

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
