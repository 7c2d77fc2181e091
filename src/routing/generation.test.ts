import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { concat, finalize, NEVER, Observable, of, throwError, type Subscription } from 'rxjs';
import type { BulkheadSettings } from '../config/file/providers.schema.js';
import { ChatError, truncated } from '../errors/chat-error.js';
import type { ChatProvider, Frame } from '../providers/chat-provider.js';
import type { Delta } from '../providers/chunk.js';
import { refused } from '../providers/http/upstream-error.js';
import { Generation } from './generation.js';
import type { Route, Target } from './route.js';
import { TargetHealth } from './target-health.js';

const TIMEOUTS = { connect: 5_000, firstToken: 120_000, idle: 60_000, total: 900_000, write: 1 };

function frame(delta: Delta, finish_reason: string | null = null): Frame {
  return { chunk: { choices: [{ index: 0, delta, finish_reason }] } };
}

const ROLE = frame({ role: 'assistant', content: '' });
const FINISH = frame({}, 'stop');
const HELLO = frame({ content: 'hello' });
const ANSWER = of(ROLE, HELLO, FINISH);
const STALL = concat(of(ROLE), NEVER);

const fails = (error: ChatError) => throwError(() => error);
const status = (code: number, headers: Record<string, string> = {}, more: object = {}) =>
  fails(refused({ status: code, header: (name) => headers[name], ...more }));
const fault = (...of: ConstructorParameters<typeof ChatError>) => fails(new ChatError(...of));
const UNAVAILABLE = status(503);

const bulkheadOf = ({ bulkhead }: Target) => bulkhead;

/** What a generation has come to. */
interface Seen {
  generation: Generation;
  frames: Frame[];
  error?: ChatError;
  completed: boolean;
  subscription: Subscription;
}

describe(Generation.name, () => {
  let health: TargetHealth;
  /** The target of each attempt, in order, with when it was made. */
  let attempts: string[];
  let times: number[];
  let open: number;
  const random = jest.spyOn(Math, 'random');

  beforeEach(() => {
    jest.useFakeTimers();
    random.mockReturnValue(0.5);
    health = new TargetHealth();
    attempts = [];
    times = [];
    open = 0;
  });
  afterEach(() => {
    expect([open, jest.getTimerCount()]).toEqual([0, 0]);
    jest.useRealTimers();
  });

  /** A target that does one of these after the other, and the last from then on. */
  function target(name: string, plays: Observable<Frame>[], more: Partial<Target> = {}): Target {
    const provider: ChatProvider = {
      name,
      models: ['m'],
      stream: () =>
        new Observable((subscriber) => {
          const made = attempts.filter((each) => each === name).length;
          attempts.push(name);
          times.push(performance.now());
          open += 1;
          const play = plays[Math.min(made, plays.length - 1)]!;
          return play.pipe(finalize(() => (open -= 1))).subscribe(subscriber);
        }),
    };
    return { provider, model: 'm', name, timeouts: TIMEOUTS, breaker: 'off', ...more };
  }

  function generate(targets: Target[], more: Partial<Route> = {}): Seen {
    const route: Route = {
      name: 'alias',
      targets: targets as [Target],
      attempts: 3,
      timeouts: TIMEOUTS,
      ...more,
    };
    const generation = new Generation(route, { messages: [] }, health, bulkheadOf);
    const seen = { generation, frames: [] as Frame[], completed: false } as unknown as Seen;
    seen.subscription = generation.frames.subscribe({
      next: (each) => seen.frames.push(each),
      error: (error: unknown) => (seen.error = error as ChatError),
      complete: () => (seen.completed = true),
    });
    return seen;
  }

  const pass = (ms: number) => jest.advanceTimersByTime(ms);

  function played(...args: Parameters<typeof generate>): Seen {
    const seen = generate(...args);
    pass(TIMEOUTS.total);
    return seen;
  }

  it('should ask nobody before it is subscribed to', () => {
    const route = { targets: [target('a', [ANSWER])], timeouts: TIMEOUTS } as unknown as Route;
    const generation = new Generation(route, { messages: [] }, health, bulkheadOf);
    expect([generation.target, generation.hasAsked]).toEqual(['a', false]);
    expect(attempts).toEqual([]);
    generation.frames.subscribe().unsubscribe();
    expect([generation.hasAsked, attempts]).toEqual([true, ['a']]);
  });

  it('should give the answer as it is, and the name of who gave it', () => {
    const { frames, completed, generation } = generate([target('a', [ANSWER])]);
    expect(frames).toEqual([ROLE, HELLO, FINISH]);
    expect([completed, generation.target, attempts]).toEqual([true, 'a', ['a']]);
  });

  it('should ask a target that fails again, later each time, and then the next', () => {
    const seen = played([target('a', [UNAVAILABLE]), target('b', [ANSWER])]);
    expect(attempts).toEqual(['a', 'a', 'a', 'b']);
    expect(times.map((time) => time - times[0]!)).toEqual([0, 125, 375, 375]);
    expect(seen.frames).toEqual([ROLE, HELLO, FINISH]);
    expect(seen.generation.target).toBe('b');
  });

  const anew = 'a a b';
  const next = 'a b';
  const nothing = 'a';

  describe.each<[string, Observable<Frame>, string]>([
    ['408', status(408), anew],
    ['409', status(409), anew],
    ['429', status(429), anew],
    ['500', status(500), anew],
    ['503', status(503), anew],
    ['529', status(529), anew],
    ['no connection', fault('provider_unavailable', ''), anew],
    ['no connection in time', fault('timeout_connect', ''), anew],
    ['a reset before the first content', concat(of(ROLE), fails(truncated())), anew],
    ['an error before the first content', concat(of(ROLE), fault('provider_error', '')), anew],
    ['a chunk that is none', concat(of(ROLE), fault('provider_malformed', '')), anew],
    ['no content and no finish reason', of(ROLE), anew],
    ['a finish reason that is a failure', of(ROLE, frame({}, 'error')), anew],
    ['401', status(401), next],
    ['402', status(402), next],
    ['403', status(403), next],
    ['404', status(404), next],
    ['413', status(413), next],
    ['a longer conversation than fits', status(400, {}, { code: 'context_length_exceeded' }), next],
    ['a budget that is used up', status(429, {}, { code: 'insufficient_quota' }), next],
    ['429 for longer than anybody waits', status(429, { 'retry-after': '6' }), next],
    ['503 for longer than anybody waits', status(503, { 'retry-after': '86400' }), next],
    ['a redirect', status(302), next],
    ['another 4xx', status(418), next],
    [
      'a page instead of a stream',
      fault('provider_unavailable', '', { upstreamStatus: 200 }),
      next,
    ],
    ['no such model', fault('model_not_found', ''), next],
    ["what this provider's API can't say", fault('invalid_request', ''), next],
    ['400', status(400), nothing],
    ['422', status(422), nothing],
    ['an error of our own', throwError(() => new TypeError('oops')), nothing],
  ])('on %s', (_, play, expected) => {
    it(`should ask ${expected}`, () => {
      const two = [target('a', [play]), target('b', [ANSWER])];
      const { frames, error } = played(two, { attempts: 2 });
      expect(attempts.join(' ')).toBe(expected);
      if (expected === nothing) expect(error).toBeInstanceOf(ChatError);
      else expect(frames).toEqual([ROLE, HELLO, FINISH]);
    });

    it('should tell who has but one target, and whether it was tried again here', () => {
      const { frames, error } = played([target('a', [play])], { attempts: 2 });
      expect([frames, attempts.length]).toEqual([[], expected === anew ? 2 : 1]);
      expect(error).toBeInstanceOf(ChatError);
      if (expected === anew) expect(error!.retryable).toBe(false);
    });
  });

  it("should tell the last target's failure, and that all was tried here", () => {
    const two = [target('a', [UNAVAILABLE]), target('b', [status(429, { 'retry-after': '4' })])];
    const { error } = played(two);
    expect(error).toMatchObject({ code: 'provider_rate_limited', retryAfterMs: 4_000 });
    expect(error!.retryable).toBe(false);
  });

  it('should leave it to the caller to try again what was not tried again here', () => {
    const once = played([target('a', [UNAVAILABLE])], { attempts: 1 });
    const later = played([target('a', [status(429, { 'retry-after': '7' })])]);
    expect(once.error!.retryable).toBe(true);
    expect(later.error).toMatchObject({ retryable: true, retryAfterMs: 7_000 });
  });

  it.each<[string, Record<string, string>, number]>([
    ['seconds', { 'retry-after': '2' }, 2_000],
    ['milliseconds', { 'retry-after-ms': '700', 'retry-after': '3' }, 700],
    ['a date', { 'retry-after': 'Thu, 01 Jan 2026 00:00:03 GMT' }, 3_000],
  ])('should wait as long as it is asked to: %s', (_, headers, ms) => {
    jest.setSystemTime(Date.UTC(2026, 0, 1));
    played([target('a', [status(429, headers), ANSWER])]);
    const [first, second] = times as [number, number];
    expect(second - first).toBe(ms + 125);
  });

  it.each<[string, Delta]>([
    ['text', { content: 'x' }],
    ['reasoning', { reasoning_content: 'x' }],
    ['a refusal', { refusal: 'x' }],
    ['a tool call', { tool_calls: [{ index: 0, id: 'c', function: { name: 'f' } }] }],
  ])('should never start anew after %s', (_, delta) => {
    const play = concat(of(ROLE, frame(delta)), UNAVAILABLE);
    const { frames, error } = played([target('a', [play]), target('b', [ANSWER])]);
    expect(attempts).toEqual(['a']);
    expect(frames).toEqual([ROLE, frame(delta)]);
    expect(error).toMatchObject({ code: 'provider_unavailable', retryable: true });
  });

  it('should take an answer without content for one, once it has a finish reason', () => {
    const filtered = frame({}, 'content_filter');
    const play = concat(of(ROLE, filtered), fails(truncated()));
    const { frames, error } = played([target('a', [play]), target('b', [ANSWER])]);
    expect(frames).toEqual([ROLE, filtered]);
    expect([attempts, error!.code]).toEqual([['a'], 'provider_truncated']);
  });

  it('should show nothing of an attempt that failed', () => {
    const filter: Frame = { chunk: { choices: [], id: 'of the first' } };
    const play = concat(of(filter, ROLE), UNAVAILABLE);
    const { frames } = played([target('a', [play, ANSWER])]);
    expect(frames).toEqual([ROLE, HELLO, FINISH]);
  });

  it('should keep little of a flood without content', () => {
    const flood = Array.from({ length: 100_000 }, () => ROLE);
    const { frames } = played([target('a', [of(...flood, HELLO, FINISH)])]);
    expect(frames).toHaveLength(102);
    expect(frames.slice(-2)).toEqual([HELLO, FINISH]);
  });

  it('should hold back so much without content, and no more', () => {
    const large = { ...ROLE, json: ' '.repeat(300_000) };
    const { error, frames } = generate([target('a', [of(large, large, large, large, HELLO)])], {
      attempts: 1,
    });
    expect([error?.code, frames]).toEqual(['provider_malformed', []]);
  });

  describe('in time', () => {
    it('should give every target an equal part of what is left to the first token', () => {
      const three = ['a', 'b', 'c'].map((name) => target(name, [STALL]));
      const { error } = played(three, { timeouts: { ...TIMEOUTS, firstToken: 9_000 } });
      expect([attempts, times.map((time) => time - times[0]!)]).toEqual([
        ['a', 'b', 'c'],
        [0, 3_000, 6_000],
      ]);
      expect(error).toMatchObject({ code: 'timeout_first_token', status: 504, retryable: false });
    });

    it('should give the next target its part of however little time', () => {
      const two = [target('a', [STALL]), target('b', [ANSWER])];
      const { completed } = played(two, { timeouts: { ...TIMEOUTS, firstToken: 40 } });
      expect([attempts, completed]).toEqual([['a', 'b'], true]);
    });

    it('should end an attempt by the deadline of its target, and make another', () => {
      const timeouts = { ...TIMEOUTS, firstToken: 1_000 };
      const seen = played([target('a', [STALL, STALL, ANSWER], { timeouts })]);
      expect(times.map((time) => time - times[0]!)).toEqual([0, 1_125, 2_375]);
      expect(seen.completed).toBe(true);
    });

    it('should not wait past the deadline, and say what failed', () => {
      const timeouts = { ...TIMEOUTS, firstToken: 200 };
      const seen = generate([target('a', [UNAVAILABLE])], { timeouts });
      pass(125);
      expect(attempts).toEqual(['a', 'a']);
      expect(seen.error).toMatchObject({ code: 'provider_unavailable', status: 502 });
    });

    it('should tell what its time was spent on, if there is more to tell', () => {
      const two = [target('a', [UNAVAILABLE, STALL])];
      const { error } = played(two, { timeouts: { ...TIMEOUTS, firstToken: 5_000 } });
      expect(times.map((time) => time - times[0]!)).toEqual([0, 125]);
      expect(error).toMatchObject({ code: 'provider_unavailable', retryable: false });
    });

    it('should end an answer that says nothing more, by the deadline of who gives it', () => {
      const timeouts = { ...TIMEOUTS, idle: 2_000 };
      const play = concat(of(ROLE, HELLO), NEVER);
      const two = [target('a', [UNAVAILABLE]), target('b', [play], { timeouts })];
      const seen = generate(two);
      pass(375 + 1_999);
      expect(seen.error).toBeUndefined();
      pass(1);
      expect(seen.error).toMatchObject({ code: 'timeout_idle' });
      expect(attempts.at(-1)).toBe('b');
    });

    it('should take only content for a sign of life', () => {
      const pings = new Observable<Frame>((subscriber) => {
        subscriber.next(HELLO);
        const timer = setInterval(() => subscriber.next(frame({ content: '' })), 500);
        subscriber.add(() => clearInterval(timer));
      });
      const timeouts = { ...TIMEOUTS, idle: 2_000 };
      const seen = generate([target('a', [pings], { timeouts })]);
      pass(2_000);
      expect(seen.error).toMatchObject({ code: 'timeout_idle' });
    });

    it('should let no answer go on for longer than all of it may take', () => {
      const endless = new Observable<Frame>((subscriber) => {
        const timer = setInterval(() => subscriber.next(HELLO), 500);
        subscriber.add(() => clearInterval(timer));
      });
      const seen = generate([target('a', [endless])], { timeouts: { ...TIMEOUTS, total: 5_000 } });
      pass(5_000);
      expect(seen.error).toMatchObject({ code: 'timeout_total', status: 504 });
      expect(seen.frames.length).toBeGreaterThan(8);
    });
  });

  describe('when the caller leaves', () => {
    const limits: BulkheadSettings = { maxConcurrent: 1, queueSize: 5, queueTimeoutMs: 1_000 };

    it.each<[string, Observable<Frame>, number]>([
      ['before the first token', STALL, 10],
      ['in mid-stream', concat(of(ROLE, HELLO), NEVER), 10],
      ['between two attempts', UNAVAILABLE, 60],
    ])('should end at once: %s', (_, play, ms) => {
      const { subscription } = generate([target('a', [play]), target('b', [play])]);
      pass(ms);
      const made = attempts.length;
      subscription.unsubscribe();
      expect([open, jest.getTimerCount()]).toEqual([0, 0]);
      pass(TIMEOUTS.total);
      expect(attempts).toHaveLength(made);
    });

    it('should leave the queue', () => {
      const one = [target('a', [STALL], { bulkhead: limits })];
      const [first, second, third] = [generate(one), generate(one), generate(one)];
      second.subscription.unsubscribe();
      first.subscription.unsubscribe();
      expect(attempts).toEqual(['a', 'a']);
      third.subscription.unsubscribe();
      expect(health.of('a').bulkhead.isIdle).toBe(true);
    });

    it('should let the next probe pass', () => {
      const breaker = { failures: 3, openMs: 10_000 };
      const one = [
        target('a', [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, STALL, ANSWER], { breaker }),
      ];
      generate(one);
      pass(10_375);
      expect(health.of('a').breaker.state).toBe('half_open');

      const probe = generate(one);
      expect(generate(one).error).toMatchObject({ status: 503, retryAfterMs: 1_000 });
      probe.subscription.unsubscribe();

      expect(generate(one).completed).toBe(true);
      expect(health.of('a').breaker.state).toBe('closed');
    });
  });

  describe('with breakers', () => {
    const breaker = { failures: 3, openMs: 10_000 };

    it('should skip a target that failed too often', () => {
      const two = [target('a', [UNAVAILABLE], { breaker }), target('b', [ANSWER], { breaker })];
      generate(two);
      pass(375);
      expect(attempts).toEqual(['a', 'a', 'a', 'b']);
      attempts = [];

      const { generation, completed } = generate(two);
      expect([attempts, generation.target, completed]).toEqual([['b'], 'b', true]);
    });

    it('should not wait for another attempt that the breaker would refuse', () => {
      const two = [target('a', [UNAVAILABLE], { breaker }), target('b', [ANSWER])];
      played(two, { attempts: 10 });
      expect(times.map((time) => time - times[0]!)).toEqual([0, 125, 375, 375]);
    });

    it('should say when to come back where every target is out', () => {
      const other = { failures: 3, openMs: 4_000 };
      const two = [
        target('a', [UNAVAILABLE], { breaker }),
        target('b', [UNAVAILABLE], { breaker: other }),
      ];
      const first = generate(two);
      pass(1_000);
      expect(first.error).toMatchObject({ status: 502, retryable: false });
      attempts = [];

      const { error } = generate(two);
      expect(attempts).toEqual([]);
      expect(error).toMatchObject({
        code: 'provider_unavailable',
        status: 503,
        retryable: true,
        retryAfterMs: 4_000 + 750 - 1_000,
      });
    });

    it.each([
      ['400', status(400)],
      ['401', status(401)],
      ['404', status(404)],
      ['429', status(429)],
    ])('should count no %s', (_, play) => {
      const one = [target('a', [play], { breaker })];
      for (let request = 0; request < 5; request += 1) played(one);
      expect(health.of('a').breaker).toMatchObject({ state: 'closed', failures: 0 });
    });

    it('should count silence, and no failure of an answer that had begun', () => {
      const timeouts = { ...TIMEOUTS, firstToken: 1_000 };
      played([target('a', [STALL], { breaker, timeouts })], { attempts: 2 });
      played([target('b', [concat(of(HELLO), UNAVAILABLE)], { breaker })]);
      expect(health.of('a').breaker.failures).toBe(2);
      expect(health.of('b').breaker.failures).toBe(0);
    });

    it('should count silence in a fair part of the time, and none that an alias cut short', () => {
      const two = [target('a', [STALL], { breaker }), target('b', [ANSWER])];
      played(two, { attempts: 1 });
      expect(health.of('a').breaker.failures).toBe(1);
      played(two, { attempts: 1, timeouts: { ...TIMEOUTS, firstToken: 2_000 } });
      expect(health.of('a').breaker.failures).toBe(1);
    });

    it('should count a 408 whatever was left of the time', () => {
      const timeouts = { ...TIMEOUTS, firstToken: 2_000 };
      played([target('a', [status(408)], { breaker })], { attempts: 1, timeouts });
      expect(health.of('a').breaker.failures).toBe(1);
    });

    it('should count no silence where a queue had taken the time', () => {
      const bulkhead = { maxConcurrent: 1, queueSize: 1, queueTimeoutMs: 200_000 };
      const one = [target('a', [STALL], { breaker, bulkhead })];
      const first = generate(one);
      const second = generate(one, { attempts: 1 });
      pass(119_000);
      first.subscription.unsubscribe();
      pass(1_000);
      expect(second.error).toMatchObject({ code: 'timeout_first_token' });
      expect(health.of('a').breaker.failures).toBe(0);
    });

    it('should not count what its caller ended', () => {
      const { subscription } = generate([target('a', [STALL], { breaker })]);
      pass(1_000);
      subscription.unsubscribe();
      expect(health.of('a').breaker.failures).toBe(0);
    });
  });

  describe('with bulkheads', () => {
    const bulkhead = { maxConcurrent: 1, queueSize: 1, queueTimeoutMs: 1_000 };

    it('should go on to the next target where the queue is full or too slow', () => {
      const two = [target('a', [STALL], { bulkhead }), target('b', [ANSWER])];
      const [first, waiting, third] = [generate(two), generate(two), generate(two)];
      expect([attempts, third.generation.target]).toEqual([['a', 'b'], 'b']);
      pass(1_000);
      expect([attempts, waiting.generation.target]).toEqual([['a', 'b', 'b'], 'b']);
      first.subscription.unsubscribe();
    });

    it('should ask nobody for whom the queue left too little time', () => {
      const patient = { ...bulkhead, queueTimeoutMs: 200_000 };
      const one = [target('a', [STALL, ANSWER], { bulkhead: patient })];
      const first = generate(one);
      const second = generate(one);
      pass(119_960);
      first.subscription.unsubscribe();
      expect(attempts).toEqual(['a']);
      expect(second.error).toMatchObject({ code: 'provider_unavailable', status: 503 });
    });

    it('should say so where no target has room', () => {
      const one = [target('a', [STALL], { bulkhead })];
      const [first, second] = [generate(one), generate(one)];
      expect(generate(one).error).toMatchObject({
        code: 'provider_unavailable',
        status: 503,
        retryable: true,
        retryAfterMs: 1_000,
      });
      first.subscription.unsubscribe();
      second.subscription.unsubscribe();
    });

    it('should take no place while it waits for its next attempt', () => {
      const one = [target('a', [UNAVAILABLE, ANSWER, ANSWER], { bulkhead })];
      const first = generate(one);
      expect(generate(one).completed).toBe(true);
      pass(125);
      expect(first.completed).toBe(true);
    });
  });
});
