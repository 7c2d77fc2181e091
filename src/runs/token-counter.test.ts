import { afterEach, describe, expect, it } from '@jest/globals';
import { TokenCounter } from './token-counter.js';

const MEBI = 2 ** 20;

/** Two tokens of two letters each. */
const PAIR = ' a b';

describe(TokenCounter.name, () => {
  const counter = new TokenCounter();
  afterEach(() => counter.onApplicationShutdown());

  it('should estimate by its length what would wait behind too much', async () => {
    const long = PAIR.repeat(MEBI / PAIR.length);
    const all = await Promise.all(Array.from({ length: 10 }, () => counter.count([long])));
    expect(all.flat().filter((tokens) => tokens > MEBI / 4)).toHaveLength(2);
    expect(all.flat().filter((tokens) => tokens === MEBI / 4)).toHaveLength(8);
    expect(await counter.count([PAIR, ''])).toEqual([2, 0]);
  });
});
