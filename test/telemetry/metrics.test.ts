import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { RunRecords, type RunRecord } from '../../src/runs/run-record.js';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open } from '../support/http.js';
import { Scrape } from '../support/metrics.js';
import { freePort } from '../support/free-port.js';
import { ask, cancel, runIdOf } from '../support/runs.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

const KEY = { authorization: 'Bearer sk-alice' };
const OTHER_KEY = { authorization: 'Bearer sk-bob' };
const LISTED = 'text_tokens-20';

let upstream: Upstream;
let server: RunningApp;
let records: RunRecord[];

async function start(env: Record<string, string | number> = {}) {
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OPENAI_MODEL: LISTED,
    API_KEYS: 'alice:sk-alice,bob:sk-bob',
    DEMO: 'on',
    ...env,
  });
  records = [];
  server.app.get(RunRecords).subscribe((record) => records.push(record));
}

function sum(of: (record: RunRecord) => number, some = records): number {
  return some.reduce((total, record) => total + of(record), 0);
}

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(async () => {
  await server.close();
  upstream.reset();
});
afterAll(() => upstream.close());

describe('/metrics', () => {
  it('agrees with the records of runs that completed, were cancelled and failed', async () => {
    await start();
    const { port } = server;
    const times = (count: number, task: () => Promise<unknown>) =>
      Array.from({ length: count }, task);
    const complete = (model: string, headers: Record<string, string>) => () =>
      ask(port, model, { headers }).ended;
    await Promise.all([
      ...times(12, complete(LISTED, KEY)),
      ...times(5, complete('text_tokens-7', OTHER_KEY)),
      ...times(2, complete('demo', KEY)),
      ...times(3, complete('status-401', KEY)),
      ...times(4, complete('rst-mid', OTHER_KEY)),
      ...times(6, async () => {
        const call = ask(port, 'slow_ms-20', { headers: KEY });
        await call.until('data: {"content"');
        call.destroy();
      }),
      ...times(3, async () => {
        const call = ask(port, 'slow_ms-20', { headers: KEY });
        await call.until('data: {"content"');
        await cancel(port, await runIdOf(call), KEY);
      }),
      ...times(2, async () => {
        const headers = { ...KEY, 'sluice-on-disconnect': 'continue' };
        const call = ask(port, 'text_tokens-30', { headers });
        await call.until('data: {"content"');
        call.destroy();
      }),
    ]);
    await eventually(() => expect(records).toHaveLength(37), 10_000);
    const scrape = await Scrape.of(port, KEY);

    const by = (part: Partial<RunRecord>) =>
      records.filter((record) =>
        Object.entries(part).every(([name, value]) => record[name as keyof RunRecord] === value),
      );
    expect(by({ status: 'completed' })).toHaveLength(21);
    expect(by({ status: 'cancelled' })).toHaveLength(9);
    for (const { status, error_code } of records) {
      const labels = { status, code: error_code ?? '' };
      expect(scrape.sum('sluice_runs_total', labels)).toBe(by({ status, error_code }).length);
    }
    expect(scrape.sum('sluice_runs_total')).toBe(37);

    const DURATION = 'gen_ai_client_operation_duration_seconds';
    expect(scrape.sum(`${DURATION}_count`)).toBe(37);
    expect(scrape.sum(`${DURATION}_count`, { error_type: 'provider_auth' })).toBe(3);
    expect(scrape.sum(`${DURATION}_sum`)).toBeCloseTo(
      sum(({ duration_ms }) => duration_ms) / 1000,
      6,
    );
    const FIRST = 'gen_ai_client_operation_time_to_first_chunk_seconds';
    expect(scrape.sum(`${FIRST}_count`)).toBe(34);
    expect(scrape.sum(`${FIRST}_sum`)).toBeCloseTo(sum(({ ttft_ms }) => ttft_ms ?? 0) / 1000, 6);
    expect(scrape.sum('gen_ai_client_operation_time_per_output_chunk_seconds_count')).toBe(21);

    const used = records.filter(({ token_source }) => token_source !== null);
    for (const [type, field] of [
      ['input', 'prompt_tokens'],
      ['output', 'completion_tokens'],
    ] as const) {
      const name = 'gen_ai_client_token_usage';
      const labels = { gen_ai_token_type: type };
      expect(scrape.sum(`${name}_count`, labels)).toBe(used.length);
      expect(scrape.sum(`${name}_sum`, labels)).toBe(sum((record) => record[field]));
      for (const key of ['alice', 'bob']) {
        const own = by({ name: key });
        expect(scrape.sum('sluice_key_tokens_total', { key, type })).toBe(
          sum((record) => record[field], own),
        );
      }
    }
    const unseen = sum(({ unseen_tokens }) => unseen_tokens);
    expect(unseen).toBeGreaterThan(0);
    expect(scrape.sum('sluice_unseen_tokens_total')).toBe(unseen);

    const REQUEST = 'http_client_request_duration_seconds';
    expect(scrape.sum(`${REQUEST}_count`)).toBe(upstream.requests.length);
    expect(scrape.sum(`${REQUEST}_count`, { server_address: '127.0.0.1', error_type: '401' })).toBe(
      3,
    );
    const CLOSE = 'sluice_cancel_to_upstream_close_seconds';
    expect(scrape.sum(`${CLOSE}_count`)).toBe(9);
    expect(scrape.sum(`${CLOSE}_sum`)).toBeLessThan(9);

    for (const gauge of [
      'runs_live',
      'viewers',
      'upstream_requests',
      'upstream_requests_orphaned',
    ]) {
      expect({ gauge, value: scrape.sum(`sluice_${gauge}`) }).toEqual({ gauge, value: 0 });
    }
  });

  it('knows who views what while it goes on', async () => {
    await start();
    const headers = { ...KEY, 'idempotency-key': 'one' };
    const first = ask(server.port, 'slow', { headers });
    await first.until('data:');
    const second = ask(server.port, 'slow', { headers });
    await second.until('data:');
    const during = await Scrape.of(server.port, KEY);
    expect(during.sum('sluice_runs_live')).toBe(1);
    expect(during.sum('sluice_viewers')).toBe(2);
    expect(during.sum('sluice_upstream_requests')).toBe(1);
    expect(during.sum('sluice_upstream_requests_orphaned')).toBe(0);

    first.destroy();
    second.destroy();
    await eventually(async () => {
      const after = await Scrape.of(server.port, KEY);
      expect(after.sum('sluice_runs_live')).toBe(0);
      expect(after.sum('sluice_viewers')).toBe(0);
    }, 10_000);
  });

  it('estimates what a cancelled run saved by how long complete ones were', async () => {
    await start({ OPENAI_MODEL: 'slow_tokens-10' });
    const saved = async () =>
      (await Scrape.of(server.port, KEY)).sum('sluice_saved_tokens_estimate_total');
    const leave = async () => {
      const before = records.length;
      const call = ask(server.port, 'slow_tokens-10', { headers: KEY });
      await call.until('data: {"content"');
      call.destroy();
      await eventually(() => expect(records).toHaveLength(before + 1), 10_000);
    };
    await leave();
    // Nothing is known of this target yet.
    expect(await saved()).toBe(0);

    await ask(server.port, 'slow_tokens-10', { headers: KEY }).ended;
    await leave();
    const [, complete, cancelled] = records;
    expect(await saved()).toBe(complete!.completion_tokens - cancelled!.completion_tokens);
    expect(await saved()).toBeGreaterThan(0);
  });

  it('shows circuit breakers, of targets that were asked', async () => {
    await start();
    const states = async (target: string) => {
      const scrape = await Scrape.of(server.port, KEY);
      return ['closed', 'open', 'half_open'].map((state) =>
        scrape.sum('sluice_breaker_state', { target, state }),
      );
    };
    await ask(server.port, LISTED, { headers: KEY }).ended;
    expect(await states(`openai/${LISTED}`)).toEqual([1, 0, 0]);
    const calls = Array.from({ length: 10 }, () =>
      ask(server.port, 'status-500', { headers: KEY }),
    );
    await Promise.all(calls.map(({ ended }) => ended));
    expect(await states('openai/other')).toEqual([0, 1, 0]);
    expect(await states(`openai/${LISTED}`)).toEqual([1, 0, 0]);
  });

  it('has few labels, whatever callers call their models, routes and methods', async () => {
    await start();
    const hostile = [
      'gpt-x"}\\ 1 # HELP',
      'a'.repeat(256),
      'やっほ',
      '__proto__',
      'constructor',
      'demo/none',
      'demo',
      'openai/',
      'openai/{le="+Inf"}',
      'other',
    ];
    const numbered = Array.from({ length: 50 }, (_, index) => `model-${index}`);
    for (const model of [...hostile, ...numbered]) {
      await ask(server.port, model, { headers: KEY }).ended;
    }
    for (const path of ['/nowhere', '/v1/models/x%22%7D%0A1', '/v1/runs/a%0Ab', '/%00']) {
      await open({ port: server.port, path, headers: KEY }).ended;
    }
    await open({ port: server.port, path: '/v1/models', method: 'PROPFIND', headers: KEY }).ended;

    const scrape = await Scrape.of(server.port, KEY);
    expect(scrape.valuesOf('gen_ai_request_model')).toEqual(['answer', 'other', LISTED]);
    expect(scrape.valuesOf('gen_ai_provider_name')).toEqual(['demo', 'openai']);
    const targets = ['demo/answer', 'demo/other', 'openai/other', `openai/${LISTED}`];
    expect(scrape.valuesOf('target')).toEqual(targets);
    expect(scrape.valuesOf('key')).toEqual(['alice']);
    expect(scrape.valuesOf('http_route').join()).not.toMatch(/x"|nowhere/);
    expect(scrape.samples.length).toBeLessThan(1_000);
  });

  it('tells of the process', async () => {
    await start();
    const { types } = await Scrape.of(server.port, KEY);
    expect([...types.keys()]).toEqual(
      expect.arrayContaining([
        'sluice_event_loop_delay_seconds',
        'process_cpu_seconds_total',
        'process_resident_memory_bytes',
        'nodejs_heap_size_used_bytes',
      ]),
    );
  });

  it('tells how late the event loop was', async () => {
    await start();
    const until = performance.now() + 500;
    while (performance.now() < until);
    await eventually(async () => {
      const scrape = await Scrape.of(server.port, KEY);
      expect(scrape.sum('sluice_event_loop_delay_seconds_sum')).toBeGreaterThan(0.4);
    });
  });

  it('asks for a key where there are keys', async () => {
    await start();
    const call = open({ port: server.port, path: '/metrics' });
    await call.ended;
    expect(await call.status).toBe(401);
    expect(call.text()).not.toContain('sluice_');
  });

  it('is on METRICS_PORT alone where that is set, without a key', async () => {
    const port = await freePort();
    await start({ METRICS_PORT: port });
    expect((await Scrape.of(port)).types.get('sluice_runs_live')).toBe('GAUGE');

    const elsewhere = open({ port, path: '/v1/models' });
    await elsewhere.ended;
    expect(await elsewhere.status).toBe(404);
    const main = open({ port: server.port, path: '/metrics', headers: KEY });
    await main.ended;
    expect(await main.status).toBe(404);
  });
});
