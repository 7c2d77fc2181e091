import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { readdir, readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { TokenCounter } from './token-counter.js';

const MEBI = 2 ** 20;

/** Two tokens of two letters each. */
const PAIR = ' a b';

/** A word of rare characters, each several tokens, in any order. */
function rareWord(): string {
  const rare = () => 0x3400 + Math.floor(Math.random() * 0x1000);
  return String.fromCodePoint(...Array.from({ length: 16 }, rare));
}

/** How far each thread of this process stands back (proc_pid_stat(5), field 19). */
async function niceValues(): Promise<number[]> {
  const threads = await readdir('/proc/self/task');
  const stats = threads.map((thread) => readFile(`/proc/self/task/${thread}/stat`, 'utf8'));
  // Only the second field, in parentheses, can have spaces in it.
  const fields = (stat: string) => stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (await Promise.all(stats)).map((stat) => Number(fields(stat)[16]));
}

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

  it('should estimate by its length what there is no thread to count with', async () => {
    const start = jest.spyOn(counter as unknown as { start: () => never }, 'start');
    start.mockImplementation(() => {
      throw new Error('no thread');
    });
    for (let times = 0; times < 5; times += 1) {
      expect(await counter.count([PAIR.repeat(100_000)])).toEqual([100_000]);
    }
    start.mockRestore();
    expect(await counter.count([PAIR])).toEqual([2]);
  });

  const itOnLinux = process.platform === 'linux' ? it : it.skip;

  itOnLinux('should let everything else of the process go first', async () => {
    const { PRIORITY_BELOW_NORMAL: low } = constants.priority;
    const before = await niceValues();
    await counter.count([PAIR]);
    const after = await niceValues();
    expect(before.filter((value) => value === low)).toHaveLength(0);
    expect(after.filter((value) => value === low)).toHaveLength(1);
  });

  it('should have memory enough for words that are all new', async () => {
    const text = () => Array.from({ length: MEBI / 17 }, rareWord).join(' ');
    const texts = [text(), text()];
    const counts = await counter.count(texts);
    for (const tokens of counts) expect(tokens).toBeGreaterThan(texts[0]!.length);
  }, 120_000);

  it('should keep nothing of what it counted', async () => {
    for (let times = 0; times < 40; times += 1) {
      const text = rareWord() + PAIR.repeat(MEBI / PAIR.length - 16);
      const [tokens] = await counter.count([text]);
      expect(tokens).toBeGreaterThan(text.length * 0.49);
    }
  }, 120_000);
});
