import { describe, expect, it } from '@jest/globals';
import { flowOf } from './flow.js';
import type { Arrival } from './recording.js';

/** Ten events of 100 bytes, one every 40 ms, by clocks that are an hour apart. */
function sent(arrivalOf: (sentMs: number, index: number) => number): Arrival[] {
  return Array.from({ length: 10 }, (_, index) => ({
    sentMs: index * 40,
    arrivedMs: 3_600_000 + arrivalOf(index * 40, index),
    bytes: 100,
  }));
}

describe(flowOf.name, () => {
  it('holds nothing against a path that is only long, or clocks that differ', () => {
    const flow = flowOf(sent((sentMs) => sentMs + 250));
    expect(flow).toMatchObject({ longestHeldMs: 0, heldBytes: 0, together: 0 });
    expect(flow.gap).toEqual({ p50: 40, p99: 40, max: 40 });
  });

  it('tells how long and how much was held at the most', () => {
    // Five at a time, when the fifth is there.
    const flow = flowOf(sent((_, index) => (index < 5 ? 160 : 360)));
    expect(flow).toMatchObject({ medianHeldMs: 80, longestHeldMs: 160, heldBytes: 400 });
    expect(flow.together).toBeCloseTo(8 / 9);
    expect(flow.gap.max).toBe(200);
  });
});
