import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { NEVER, Observable, Subject, throwError, type Subscription } from 'rxjs';
import { Bulkhead } from './bulkhead.js';
import { TargetUnavailable } from './target-unavailable.js';

const SETTINGS = { maxConcurrent: 2, queueSize: 3, queueTimeoutMs: 5_000 };

describe(Bulkhead.name, () => {
  let bulkhead: Bulkhead;
  let active = 0;
  let mostActive = 0;
  let errors: unknown[] = [];

  beforeEach(() => {
    jest.useFakeTimers();
    bulkhead = new Bulkhead();
    active = mostActive = 0;
    errors = [];
  });
  afterEach(() => {
    expect([bulkhead.isIdle, jest.getTimerCount()]).toEqual([true, 0]);
    jest.useRealTimers();
  });

  function request(source: Observable<unknown> = NEVER, settings = SETTINGS, maxWaitMs = Infinity) {
    const counted = new Observable((subscriber) => {
      mostActive = Math.max(mostActive, (active += 1));
      source.subscribe(subscriber);
      subscriber.add(() => (active -= 1));
    });
    const error = (thrown: unknown) => errors.push(thrown);
    return bulkhead.admit(counted, settings, maxWaitMs).subscribe({ error });
  }

  function leaveAll(requests: Subscription[]) {
    for (const each of requests) each.unsubscribe();
  }

  it('should let so many through at a time, and the others in the order in which they came', () => {
    const order: number[] = [];
    const requests = [0, 1, 2, 3, 4].map((n) =>
      request(
        new Observable(() => {
          order.push(n);
        }),
      ),
    );
    expect([order, active]).toEqual([[0, 1], 2]);

    requests[1]!.unsubscribe();
    expect([order, active]).toEqual([[0, 1, 2], 2]);
    leaveAll(requests);

    expect([order, mostActive]).toEqual([[0, 1, 2, 3, 4], 2]);
  });

  it('should give a place on when its request completes or fails', () => {
    const [first, second] = [new Subject(), new Subject()];
    const others = [request(first), request(second), request(), request()].slice(2);
    first.complete();
    second.error(new Error('reset'));
    expect([active, mostActive, errors.length]).toEqual([2, 2, 1]);
    leaveAll(others);
  });

  it('should admit who waits by the newest cap', () => {
    const requests = [0, 1, 2, 3, 4].map(() => request());
    requests.push(request(NEVER, { ...SETTINGS, maxConcurrent: 5 }));
    expect([active, bulkhead.waiting]).toEqual([5, 1]);
    leaveAll(requests);
  });

  it('should refuse what finds the queue full, at once', () => {
    const requests = Array.from({ length: 6 }, () => request());
    expect(errors).toEqual([expect.any(TargetUnavailable)]);
    expect(errors[0]).toMatchObject({ status: 503, retryable: true, retryAfterMs: 1_000 });
    leaveAll(requests);
  });

  it('should refuse what has waited long enough, by its settings or its deadline', () => {
    const requests = [request(), request(), request(), request(NEVER, SETTINGS, 100)];
    jest.advanceTimersByTime(99);
    expect(errors).toHaveLength(0);
    jest.advanceTimersByTime(1);
    expect(errors).toHaveLength(1);
    jest.advanceTimersByTime(4_900);
    expect(errors).toEqual([expect.any(TargetUnavailable), expect.any(TargetUnavailable)]);
    leaveAll(requests);
  });

  it('should let go of who leaves the queue', () => {
    const requests = Array.from({ length: 5 }, () => request());
    leaveAll(requests.slice(2));
    expect(jest.getTimerCount()).toBe(0);
    leaveAll(requests);
    expect(mostActive).toBe(2);
  });

  it('should not pile up when what it admits fails at once', () => {
    const settings = { ...SETTINGS, maxConcurrent: 1, queueSize: 50_000 };
    const [first] = [request(NEVER, settings)];
    for (let n = 0; n < settings.queueSize; n += 1) {
      request(
        throwError(() => n),
        settings,
      );
    }
    first.unsubscribe();
    expect(errors).toHaveLength(settings.queueSize);
  });

  it('should lose no place, whenever its requests end and however', () => {
    const running = new Map<Subject<unknown>, Subscription>();
    for (let step = 0; step < 5_000; step += 1) {
      const sources = [...running.keys()];
      const source = sources[Math.floor(Math.random() * sources.length)];
      const chance = Math.random();
      if (!source || chance < 0.5) {
        const added = new Subject();
        running.set(added, request(added));
      } else if (chance < 0.7) {
        running.get(source)!.unsubscribe();
      } else if (chance < 0.8) {
        source.complete();
      } else if (chance < 0.9) {
        source.error(step);
      } else {
        jest.advanceTimersByTime(Math.random() * 2_000);
      }
      for (const [each, { closed }] of running) if (closed) running.delete(each);
      // Nobody waits while there is room.
      expect(active).toBe(Math.min(SETTINGS.maxConcurrent, running.size));
    }
    leaveAll([...running.values()]);
    expect([active, mostActive]).toEqual([0, SETTINGS.maxConcurrent]);
  });
});
