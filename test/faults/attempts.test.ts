import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigFile } from '../../src/config/file/config-file.js';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall } from '../support/http.js';
import { Scrape } from '../support/metrics.js';
import { PendingTimers } from '../support/pending-timers.js';
import { answerOf, ask } from '../support/runs.js';
import { SilentServer } from '../support/silent-server.js';
import { TEXT, textOf, type Upstream } from '../support/upstream/index.js';
import { provider, Routes } from './routes.js';

let routes: Routes;
let one: Upstream;
let two: Upstream;
const timers = new PendingTimers();

beforeAll(async () => {
  routes = await Routes.create();
  ({ one, two } = routes);
});
afterEach(() => routes.stop());
afterAll(async () => {
  timers.restore();
  await routes.close();
});

const made = () => [one.requests.length, two.requests.length];

describe('an answer', () => {
  it('names the target that gave it, in its stream and in its state', async () => {
    await routes.start(['a: { targets: [one/status-503, two/text], retry: { attempts: 2 } }']);
    const { events, text, state } = await routes.answer('a');
    expect(text).toBe(TEXT);
    for (const { data } of [events[0]!, events.at(-1)!]) {
      expect(JSON.parse(data)).toMatchObject({ model: 'two/text' });
    }
    expect(state).toMatchObject({ model: 'a', target: 'two/text' });
    expect(made()).toEqual([2, 1]);
  });

  it('comes from the next target when a 200 fails before its first content', async () => {
    await routes.start(['a: { targets: [one/filtered, two/text], retry: { attempts: 1 } }']);
    one.script('filtered', (x) => {
      x.chunk({ id: '', choices: [], prompt_filter_results: [{ prompt_index: 0 }] });
      x.role();
      x.errorChunk({ message: 'The engine is overloaded.' });
      x.end();
    });
    const { port } = routes.app;
    const call = ask(port, 'a', { path: '/v1/chat/completions', body: { stream: true } });
    await call.ended;
    expect(call.text()).not.toContain('prompt_filter_results');
    expect(call.text().match(/"role":"assistant"/g)).toHaveLength(1);
    expect(call.text()).toContain('[DONE]');
    expect(made()).toEqual([1, 1]);
  });

  it('is not asked for again, and is no outage, when a 200 says that the request is at fault', async () => {
    await routes.start(['a: { targets: [one/refused] }'], {}, 'breaker: { failures: 1 }');
    const said = { message: 'Too long.', type: 'BadRequestError', param: 'messages' };
    one.script('refused', (x) => {
      x.role();
      x.chunk({ error: { ...said, code: 400 } });
      x.end();
    });
    const call = ask(routes.app.port, 'a', { path: '/v1/chat/completions' });
    await call.ended;
    expect(await call.status).toBe(400);
    expect(JSON.parse(call.text())).toEqual({ error: { ...said, code: 'provider_rejected' } });
    expect(made()).toEqual([1, 0]);
    one.script('refused', (x) => x.complete());
    expect((await routes.answer('a')).events.at(-1)).toMatchObject({ event: 'done' });
  });

  it('says in mid-answer what its error was', async () => {
    await routes.start(['a: { targets: [one/refused] }']);
    one.script('refused', (x) => {
      x.text('Hi');
      x.chunk({ error: { message: 'Slow down.', code: 429 } });
      x.end();
    });
    const { text, state } = await routes.answer('a');
    expect([text, state]).toMatchObject(['Hi', { error: { code: 'provider_rate_limited' } }]);
  });

  it('has all that came before its first content', async () => {
    await routes.start(['a: { targets: [one/azure-frames] }']);
    const { port } = routes.app;
    const call = ask(port, 'a', { path: '/v1/chat/completions', body: { stream: true } });
    await call.ended;
    expect(call.text()).toContain('prompt_filter_results');
  });

  it('that broke off is not begun anew: its text, and one error', async () => {
    await routes.start(['a: { targets: [one/error-mid, two/text] }']);
    const { text, events, state } = await routes.answer('a');
    expect(text).toBe(textOf(3));
    expect(events.filter(({ event }) => event === 'error')).toEqual([events.at(-1)]);
    expect(state).toMatchObject({ target: 'one/error-mid', error: { code: 'provider_error' } });
    expect(made()).toEqual([1, 0]);
  });

  it.each([
    ['status-503', 502, 'provider_unavailable', 'false', 3],
    ['status-408', 504, 'timeout_first_token', 'false', 3],
    ['status-429', 429, 'provider_rate_limited', 'true', 1],
    ['status-429_retryafter-0', 429, 'provider_rate_limited', 'false', 3],
    ['status-401', 502, 'provider_auth', 'false', 1],
    ['redirect', 502, 'provider_unavailable', 'true', 1],
  ])('that nobody gives is, for %s, %i %s, x-should-retry %s', async (play, ...expected) => {
    await routes.start([`a: { targets: [one/${play}] }`]);
    const { status, code, headers } = await routes.answer('a');
    expect([status, code, headers['x-should-retry'], one.requests.length]).toEqual(expected);
  });

  it('waits for a connection as long as its provider says, or its alias', async () => {
    const silence = await new SilentServer().listen();
    const types = ['openai', 'azure', 'ollama'];
    routes.write(
      types.map((type) => provider(type, silence, 'timeouts: { connect_ms: 60 }', type)),
      [
        ...types.map((type) => `${type}-alias: { targets: [${type}], retry: { attempts: 1 } }`),
        'own: { targets: [openai], timeouts: { connect_ms: 30 }, retry: { attempts: 1 } }',
      ],
    );
    await routes.boot();
    for (const type of types) {
      const { status, code, state } = await routes.answer(`${type}-alias`);
      expect([status, code]).toEqual([504, 'timeout_connect']);
      expect(state).toMatchObject({ error: { message: expect.stringMatching(/ 60 ms\.$/) } });
    }
    const { state } = await routes.answer('own');
    expect(state).toMatchObject({ error: { message: expect.stringMatching(/ 30 ms\.$/) } });
    silence.close();
  });
});

describe('targets that are out', () => {
  const breakerOf = (failures: number, ms: number) =>
    `breaker: { failures: ${failures}, open_ms: ${ms} }`;
  const BREAKER = breakerOf(2, 60_000);

  it('are told with the time to come back when there is no other', async () => {
    await routes.start(['a: { targets: [one/status-503, two/status-500] }'], {}, BREAKER);
    await routes.answer('a');
    expect(made()).toEqual([2, 2]);

    const { status, code, headers } = await routes.answer('a');
    expect([status, code, headers['x-should-retry']]).toEqual([
      503,
      'provider_unavailable',
      'true',
    ]);
    const seconds = Number(headers['retry-after']);
    expect(seconds).toBeGreaterThan(30);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(made()).toEqual([2, 2]);
  });

  it('are listed by /health/ready?verbose and in the metrics; the instance stays ready', async () => {
    await routes.start(['a: { targets: [one/status-503, two/text] }'], {}, BREAKER);
    await routes.answer('a');
    // Its name is its caller's, and no business of whoever asks.
    await routes.answer('two/text_tokens-3');
    const { status, body } = await routes.ready();
    expect([status, body.status]).toEqual([200, 'ok']);
    const idle = { active: 0, waiting: 0 };
    expect(body.targets).toEqual([
      {
        ...{ target: 'one/status-503', state: 'open', failures: 2, ...idle },
        probe_in_ms: expect.any(Number),
      },
      { target: 'two/text', state: 'closed', failures: 0, probe_in_ms: 0, ...idle },
    ]);
    const plain = await answerOf(open({ port: routes.app.port, path: '/health/ready' }));
    expect(plain.body).toEqual({ status: 'ok' });

    const scrape = await Scrape.of(routes.app.port);
    const states = { 'one/status-503': 'open', 'two/text': 'closed' };
    for (const [target, state] of Object.entries(states)) {
      expect(scrape.sum('sluice_breaker_state', { target, state })).toBe(1);
      expect(scrape.sum('sluice_breaker_state', { target })).toBe(1);
    }
  });

  it('stay so when the file is read again', async () => {
    await routes.start(['a: { targets: [one/status-503] }'], {}, BREAKER);
    await routes.answer('a');
    routes.write([provider('one', one)], ['b: { targets: [one/status-503] }'], BREAKER);
    routes.app.app.get(ConfigFile).reload();
    expect((await routes.answer('b')).status).toBe(503);
    expect(made()).toEqual([2, 0]);
  });

  it('come back by one request that succeeds', async () => {
    const target = 'one/status-503_times-2';
    await routes.start([`a: { targets: [${target}] }`], {}, breakerOf(2, 1_500));
    expect((await routes.answer('a')).status).toBe(502);
    expect((await routes.answer('a')).status).toBe(503);
    await sleep(1_510);
    expect(await routes.healthOf(target)).toMatchObject({ state: 'half_open' });
    expect((await routes.answer('a')).text).toBe(TEXT);
    expect(await routes.healthOf(target)).toMatchObject({ state: 'closed', failures: 0 });
  });
});

describe.each(['end', 'destroy'] as const)('a client that leaves (%s)', (leave) => {
  async function left(call: HttpCall, target: string) {
    call[leave]();
    await eventually(async () => {
      expect(await routes.healthOf(target)).toMatchObject({ active: 0, waiting: 0 });
      expect(one.openSockets).toBe(0);
    });
  }

  it('between two attempts is the end of them', async () => {
    await routes.start(['a: { targets: [one/status-503_retryafter-1] }']);
    const call = ask(routes.app.port, 'a');
    await (
      await one.next()
    ).closed;
    const before = timers.size;
    await left(call, 'one/status-503_retryafter-1');
    expect(timers.size).toBeLessThan(before);
    await sleep(1_300);
    expect(made()).toEqual([1, 0]);
  });

  it('in the queue gives up its place', async () => {
    const settings = { one: 'max_concurrent: 1, queue: { size: 2, timeout_ms: 60000 }' };
    await routes.start(['a: { targets: [one/stall] }'], settings);
    const waiting = async (count: number) => {
      await eventually(async () =>
        expect(await routes.healthOf('one/stall')).toMatchObject({ waiting: count }),
      );
    };
    const first = ask(routes.app.port, 'a');
    await one.next();
    const second = ask(routes.app.port, 'a');
    await waiting(1);
    const third = ask(routes.app.port, 'a');
    await waiting(2);
    const { status, code, headers } = await routes.answer('a');
    expect([status, code, headers['retry-after']]).toEqual([503, 'provider_unavailable', '1']);

    second[leave]();
    await waiting(1);
    first[leave]();
    await one.next();
    await left(third, 'one/stall');
    expect(made()).toEqual([2, 0]);
  });

  it('as a probe lets the next one pass', async () => {
    await routes.start(
      ['a: { targets: [one/broken] }'],
      {},
      'breaker: { failures: 1, open_ms: 50 }',
    );
    let plays: 'error' | 'silence' | 'answer' = 'error';
    one.script('broken', (x) => {
      if (plays === 'error') x.error(503, {});
      if (plays !== 'answer') return;
      x.role();
      x.text('back');
      x.complete();
    });
    expect((await routes.answer('a')).status).toBe(502);
    await one.next();
    plays = 'silence';
    await sleep(60);
    const probe = ask(routes.app.port, 'a');
    await one.next();
    expect((await routes.answer('a')).status).toBe(503);

    await left(probe, 'one/broken');
    plays = 'answer';
    expect((await routes.answer('a')).text).toBe('back');
  });
});
