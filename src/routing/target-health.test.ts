import { describe, expect, it } from '@jest/globals';
import { NEVER } from 'rxjs';
import { TargetHealth } from './target-health.js';

describe(TargetHealth.name, () => {
  it('should know a target again by its name', () => {
    const sut = new TargetHealth();
    sut.of('a').breaker.enter({ failures: 1, openMs: 1_000 })!('failure');
    sut.of('b');
    expect(sut.of('a').breaker.state).toBe('open');
    expect(sut.list().map(({ name }) => name)).toEqual(['b', 'a']);
  });

  it('should forget whom nobody asked for the longest time, but nobody who is busy', () => {
    const sut = new TargetHealth();
    const limits = { maxConcurrent: 1, queueSize: 0, queueTimeoutMs: 1_000 };
    const busy = sut.of('busy').bulkhead.admit(NEVER, limits, Infinity).subscribe();
    const often = sut.of('often');
    for (let n = 0; n < 5_000; n += 1) {
      sut.of(`model ${n}`);
      sut.of('often');
    }
    expect(sut.list()).toHaveLength(1_000);
    expect(sut.of('often')).toBe(often);
    expect(sut.of('busy').bulkhead.isIdle).toBe(false);
    busy.unsubscribe();
  });
});
