import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.js';
import { ask, eventsOf, textOfEvents } from '../support/runs.js';
import { TEXT, type Exchange } from '../support/upstream/index.js';
import { Routes } from './routes.js';

let routes: Routes;

beforeAll(async () => {
  routes = await Routes.create();
});
afterEach(() => routes.stop());
afterAll(() => routes.close());

/** The same chances at every run (mulberry32). */
function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('while 30 % of all attempts fail before the first token', () => {
  const CLIENTS = 100;
  const REQUESTS = 2_000;
  const SHARE = 0.3;

  const FAULTS: ((x: Exchange) => void)[] = [
    (x) => x.error(429, { message: 'Slow down.' }, { 'retry-after-ms': '20' }),
    (x) => x.error(429, { message: 'Slow down.' }),
    (x) => x.error(503, { message: 'Overloaded.' }, { 'retry-after': '0' }),
    (x) => x.error(503, { message: 'Overloaded.' }),
    (x) => x.rst(),
    (x) => {
      x.role();
      x.rst();
    },
    () => undefined,
    (x) => x.role(),
  ];

  it('nearly every request gets its answer, once, for few attempts', async () => {
    const timeouts = 'timeouts: { first_token_ms: 3000 }';
    await routes.start(['both: { targets: [one/flaky, two/flaky], retry: { attempts: 4 } }'], {
      one: timeouts,
      two: timeouts,
    });
    const { one, two, app } = routes;
    const chance = chances(20_260_801);
    let faults = 0;
    const flaky = async (x: Exchange) => {
      if (chance() < SHARE) {
        faults += 1;
        FAULTS[Math.floor(chance() * FAULTS.length)]!(x);
        return;
      }
      x.role();
      const question = x.request.body.messages![0]!.content as string;
      await x.tokens(question.split(/(?<= )/), 1);
      x.complete();
    };
    one.script('flaky', flaky);
    two.script('flaky', flaky);

    let sent = 0;
    const others: string[] = [];
    const client = async () => {
      while (sent < REQUESTS) {
        const content = `This is the answer to question ${(sent += 1)} and to no other.`;
        const call = ask(app.port, 'both', { body: { messages: [{ role: 'user', content }] } });
        await call.ended;
        const text = (await call.status) === 200 ? textOfEvents(eventsOf(call)) : call.text();
        if (text !== content) others.push(text);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));

    const attempts = one.requests.length + two.requests.length;
    console.log(
      `${REQUESTS - others.length} of ${REQUESTS} requests had their answer, for ${attempts} attempts, ` +
        `of which ${faults} failed: ${(attempts / REQUESTS).toFixed(3)} a request`,
    );
    expect(faults / attempts).toBeGreaterThan(SHARE - 0.03);
    expect(others.length).toBeLessThanOrEqual(REQUESTS / 1000);
    // What is not the whole answer is none of it: nothing comes twice, or from two attempts.
    expect(others.filter((text) => text.includes('This is'))).toEqual([]);
    expect(attempts / REQUESTS).toBeLessThanOrEqual(1.6);
    await eventually(() => expect(one.openSockets + two.openSockets).toBe(0));
  }, 300_000);
});

it('a target that is down costs next to nothing once that is known', async () => {
  const down = 'breaker: { failures: 3, open_ms: 600000 }, timeouts: { first_token_ms: 100 }';
  await routes.start(
    [
      'with: { targets: [one/wait-headers, two/text_ms-0] }',
      'without: { targets: [two/text_ms-0] }',
    ],
    { one: down },
  );
  expect((await routes.answer('with')).text).toBe(TEXT);
  expect(await routes.healthOf('one/wait-headers')).toMatchObject({ state: 'open', failures: 3 });
  const asked = routes.one.requests.length;

  const times = { with: [] as number[], without: [] as number[] };
  const measure = async (model: keyof typeof times) => {
    const startedAt = performance.now();
    const call = ask(routes.app.port, model);
    await call.ended;
    times[model].push(performance.now() - startedAt);
    expect(textOfEvents(eventsOf(call))).toBe(TEXT);
  };
  for (let round = 0; round < 200; round += 1) {
    const first = round % 2 === 0 ? 'with' : 'without';
    await measure(first);
    await measure(first === 'with' ? 'without' : 'with');
  }

  // What every request pays is seen best where the machine did nothing else meanwhile.
  const quantile = (ms: number[], share: number) => ms.sort((a, b) => a - b)[ms.length * share]!;
  const costAt = (share: number) => quantile(times.with, share) - quantile(times.without, share);
  console.log(
    `a target that is out costs ${costAt(0.25).toFixed(3)} ms (p25), ${costAt(0.5).toFixed(3)} ms (p50)`,
  );
  expect(costAt(0.25)).toBeLessThan(5);
  expect(routes.one.requests).toHaveLength(asked);
}, 120_000);

it('no place in a bulkhead is lost, whenever clients leave', async () => {
  await routes.start(['a: { targets: [one/mixed] }'], {
    one: 'max_concurrent: 5, queue: { size: 1000 }',
  });
  const { one, app } = routes;
  one.script('mixed', async (x) => {
    await x.sleep(Math.random() * 10);
    if (Math.random() < 0.2) {
      x.rst();
      return;
    }
    x.role();
    await x.tokens(['a', 'b', 'c'], 5);
    x.complete();
  });
  const calls = Array.from({ length: 200 }, async () => {
    await sleep(Math.random() * 500);
    const call = ask(app.port, 'a');
    await Promise.race([call.ended, sleep(Math.random() * 500)]);
    if (Math.random() < 0.5) call.end();
    else call.destroy();
  });
  await Promise.all(calls);

  await eventually(async () => {
    expect(await routes.healthOf('one/mixed')).toMatchObject({ active: 0, waiting: 0 });
    expect(one.openSockets).toBe(0);
  }, 15_000);
  const again = await Promise.all(Array.from({ length: 5 }, () => routes.answer('a')));
  expect(again.map(({ status }) => status).filter((status) => status === 503)).toEqual([]);
});
