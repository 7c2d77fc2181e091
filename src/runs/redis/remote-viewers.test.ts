import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { NEVER } from 'rxjs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection } from '../../redis/redis-connection.js';
import { LocalRun } from '../local.run.js';
import { LEASE_MS } from './journal.js';
import { RemoteViewers } from './remote-viewers.js';

const NOTHING = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };

describe(RemoteViewers.name, () => {
  let sut: RemoteViewers;

  afterEach(() => {
    sut.close();
    jest.useRealTimers();
  });

  /** Holds a run that nobody views here, and that ends with its last viewer. */
  function hold(redis = { isUpFor: () => true }): LocalRun {
    sut = new RemoteViewers(redis as unknown as RedisConnection);
    const run = new LocalRun({
      caller: { owner: 'key:alice', name: 'alice', source: 'key', credential: 'a' },
      generation: { target: 'demo/echo', frames: NEVER, hasAsked: false },
      choices: 1,
      graceMs: 0,
      commitAfterMs: 1_000,
      maxLength: 1_000,
      estimateUsage: () => Promise.resolve({ ...NOTHING, source: 'estimated' }),
    });
    sut.hold(run, 'elsewhere');
    return run;
  }

  it('should let a run go when nothing is heard for a lease, and soon after', async () => {
    jest.useFakeTimers();
    const run = hold();
    await jest.advanceTimersByTimeAsync(LEASE_MS);
    sut.hold(run, 'elsewhere');
    await jest.advanceTimersByTimeAsync(LEASE_MS);
    expect(run.state.status).toBe('running');
    await jest.advanceTimersByTimeAsync(3_000);
    expect(run.state.status).toBe('cancelled');
  });

  it('should let no run go while nothing can be heard', async () => {
    jest.useFakeTimers();
    const run = hold({ isUpFor: () => false });
    await jest.advanceTimersByTimeAsync(10 * LEASE_MS);
    expect(run.state.status).toBe('running');
    sut.leave(run.id, 'elsewhere');
    await jest.advanceTimersByTimeAsync(0);
    expect(run.state.status).toBe('cancelled');
  });

  it('should hear first what was said while the process was held up', async () => {
    const run = hold();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LEASE_MS + 500);
    await sleep(20);
    expect(run.state.status).toBe('running');
    sut.leave(run.id, 'elsewhere');
  });
});
