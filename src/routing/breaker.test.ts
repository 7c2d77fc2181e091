import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Breaker, type Outcome } from './breaker.js';

const SETTINGS = { failures: 3, openMs: 10_000 };

describe(Breaker.name, () => {
  let breaker: Breaker;

  beforeEach(() => {
    jest.useFakeTimers();
    breaker = new Breaker();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const enter = () => breaker.enter(SETTINGS);
  const pass = (ms: number) => jest.advanceTimersByTime(ms);

  function attempt(...outcomes: Outcome[]) {
    for (const outcome of outcomes) enter()!(outcome);
  }

  it('should open after so many failures in a row, and let nothing pass', () => {
    attempt('failure', 'failure', 'success', 'failure', 'failure');
    expect(breaker).toMatchObject({ state: 'closed', failures: 2, waitMs: 0 });

    attempt('failure');

    expect(breaker).toMatchObject({ state: 'open', failures: 3, waitMs: 10_000 });
    expect(enter()).toBeUndefined();
    pass(9_999);
    expect(enter()).toBeUndefined();
  });

  it('should neither count nor forgive for attempts that say nothing', () => {
    attempt('failure', 'failure', 'nothing', 'failure');
    expect(breaker.state).toBe('open');
  });

  it('should let one probe pass at a time once its time is over', () => {
    attempt('failure', 'failure', 'failure');
    pass(10_000);

    expect(breaker).toMatchObject({ state: 'half_open', waitMs: 0 });
    const probe = enter()!;
    expect(enter()).toBeUndefined();

    probe('success');
    expect(breaker).toMatchObject({ state: 'closed', failures: 0 });
    attempt('failure', 'failure');
    expect(breaker.state).toBe('closed');
  });

  it('should open anew when a probe fails', () => {
    attempt('failure', 'failure', 'failure');
    pass(10_000);
    attempt('failure');
    expect(breaker).toMatchObject({ state: 'open', failures: 4, waitMs: 10_000 });
    pass(10_000);
    attempt('success');
    expect(breaker.state).toBe('closed');
  });

  it('should let the next probe pass when one said nothing, such as that its client left', () => {
    attempt('failure', 'failure', 'failure');
    pass(10_000);
    attempt('nothing', 'nothing', 'success');
    expect(breaker.state).toBe('closed');
  });

  it('should not heed what was sent before it opened or closed', () => {
    const [early, earlier] = [enter()!, enter()!];
    attempt('failure', 'failure', 'failure');
    early('success');
    expect(breaker.state).toBe('open');
    pass(10_000);
    attempt('success');
    earlier('failure');
    expect(breaker).toMatchObject({ state: 'closed', failures: 0 });
  });

  it("should heed an attempt's first word only", () => {
    const report = enter()!;
    report('failure');
    report('failure');
    report('nothing');
    expect(breaker.failures).toBe(1);
    attempt('failure', 'failure');
    pass(10_000);

    const probe = enter()!;
    probe('nothing');
    enter();
    probe('nothing');
    expect(enter()).toBeUndefined();
  });
});
