import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { backoffMs } from './backoff.js';

const random = jest.spyOn(Math, 'random');

afterEach(() => {
  random.mockReset();
});

describe(backoffMs.name, () => {
  it('doubles its longest wait with every failure, up to four seconds', () => {
    random.mockReturnValue(1);
    const waits = [1, 2, 3, 4, 5, 6, 50].map((failures) => backoffMs(failures));
    expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
  });

  it('spreads evenly from no wait at all', () => {
    random.mockReturnValueOnce(0).mockReturnValueOnce(0.5);
    expect([backoffMs(3), backoffMs(3)]).toEqual([0, 500]);
  });

  it('never waits less than it was asked to', () => {
    random.mockReturnValueOnce(0).mockReturnValueOnce(1);
    expect([backoffMs(1, 3_000), backoffMs(1, 3_000)]).toEqual([3_000, 3_250]);
  });
});
