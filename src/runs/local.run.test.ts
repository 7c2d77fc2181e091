import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { NEVER, Observable, Subject, type Subscription } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import type { Usage } from './entry.js';
import { LocalRun, type LocalRunOptions } from './local.run.js';

const GRACE_MS = 2_000;

const ESTIMATE: Usage = {
  prompt_tokens: 9,
  completion_tokens: 2,
  total_tokens: 11,
  source: 'estimated',
};

/** An upstream in the test's hand, which knows how often it was asked and whether it is open. */
class Script {
  opened = 0;
  closed = 0;
  private readonly said = new Subject<Frame>();
  target = 'test/model';
  hasAsked = true;
  readonly frames = new Observable<Frame>((subscriber) => {
    this.opened += 1;
    subscriber.add(this.said.subscribe(subscriber));
    subscriber.add(() => (this.closed += 1));
  });

  get isOpen(): boolean {
    return this.opened > this.closed;
  }

  say(content: string, index = 0) {
    this.said.next({ chunk: { choices: [{ index, delta: { content } }] } });
  }

  finish(index = 0) {
    this.said.next({ chunk: { choices: [{ index, delta: {}, finish_reason: 'stop' }] } });
  }

  count(prompt_tokens: number, completion_tokens: number) {
    this.said.next({ chunk: { choices: [], usage: { prompt_tokens, completion_tokens } } });
  }

  end() {
    this.said.complete();
  }

  fail(error: unknown) {
    this.said.error(error);
  }
}

describe(LocalRun, () => {
  let script: Script;
  const estimateUsage = jest.fn<(generated: string) => Promise<Usage>>();

  beforeEach(() => {
    jest.useFakeTimers();
    script = new Script();
    estimateUsage.mockReset().mockImplementation(() => Promise.resolve({ ...ESTIMATE }));
  });
  afterEach(() => {
    expect(script.opened).toBeLessThanOrEqual(1);
    jest.useRealTimers();
  });

  function start(options: Partial<LocalRunOptions> = {}): LocalRun {
    return new LocalRun({
      caller: { owner: 'key:ann', name: 'ann', source: 'key', credential: 'a' },
      generation: script,
      choices: 1,
      graceMs: GRACE_MS,
      commitAfterMs: 10_000,
      maxLength: 100_000,
      estimateUsage,
      ...options,
    });
  }

  it('should end whatever comes of telling of its end', async () => {
    const run = start({
      onEnd: () => {
        throw new Error('nobody listens');
      },
    });
    jest.spyOn(Logger.prototype, 'error').mockReturnValueOnce(undefined);
    const end = jest.fn();
    run.activity.subscribe({ complete: end });
    await run.cancel();

    expect(end).toHaveBeenCalledTimes(1);
    expect(run.state.status).toBe('cancelled');
  });

  function view(run: LocalRun): Subscription {
    return run.activity.subscribe();
  }

  const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

  function typesOf({ log }: LocalRun): string[] {
    return log.entries.map(({ type }) => type);
  }

  function textOf({ log }: LocalRun): string {
    return log.entries
      .map((entry) => (entry.type === 'message' ? entry.data.content : ''))
      .join('');
  }

  it('should start with its first viewer, and once for all of them', async () => {
    const run = start();
    await pass(60_000);
    expect([script.opened, run.state.status]).toEqual([0, 'queued']);

    const viewers = [view(run), view(run), view(run)];
    expect([script.opened, run.state.status]).toEqual([1, 'running']);
    script.say('Hi');
    script.finish();
    script.end();
    viewers.push(view(run));

    expect(viewers.every(({ closed }) => closed)).toBe(false);
    await pass(0);
    expect(viewers.every(({ closed }) => closed)).toBe(true);
    expect(script).toMatchObject({ opened: 1, closed: 1 });
  });

  it.each(['done', 'error', 'cancelled'])(
    'should replay to a viewer that comes after its end, %s, and start nothing',
    async (end) => {
      const run = start();
      view(run);
      script.say('Hi');
      if (end === 'done') script.finish();
      if (end === 'cancelled') void run.cancel();
      else script.end();
      await pass(0);

      const seen: unknown[] = [];
      const late = run.activity.subscribe((event) => seen.push(event));
      await pass(60_000);
      expect([late.closed, seen]).toEqual([true, []]);
      expect(typesOf(run)).toEqual(['start', 'message', end]);
      expect(script.opened).toBe(1);
    },
  );

  it('should have an id of 128 random bits', () => {
    const ids = Array.from({ length: 256 }, () => start().id);

    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^run_[0-9a-f]{32}$/);
    const bits = ids.map((id) => BigInt(`0x${id.slice(4)}`));
    for (let bit = 0n; bit < 128n; bit += 1n) {
      // Less than 64 or over 192 of 256 is not chance: 8 standard deviations.
      const ones = bits.filter((value) => (value >> bit) & 1n).length;
      expect(Math.abs(ones - 128)).toBeLessThan(64);
    }
  });

  it('should number its entries from 1 without gaps, and end with one terminal', async () => {
    const run = start();
    view(run);
    for (const word of ['a', 'b', 'c']) script.say(word);
    script.finish();
    script.count(1, 3);
    script.end();
    await run.cancel();
    await run.fail(new ChatError('internal', 'too late'));
    await pass(60_000);

    expect(typesOf(run)).toEqual(['start', 'message', 'message', 'message', 'done']);
    expect(run.log.entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  });

  describe('when its last viewer leaves', () => {
    it('should go on until the grace is over, to the millisecond', async () => {
      const run = start();
      view(run).unsubscribe();
      await pass(GRACE_MS - 1);
      expect([script.isOpen, run.state.status]).toEqual([true, 'running']);

      await pass(1);
      expect([script.isOpen, run.state.status]).toEqual([false, 'cancelled']);
      expect(typesOf(run)).toEqual(['start', 'cancelled']);
    });

    it('should stay for a viewer that is back in the last millisecond, with a new grace', async () => {
      const run = start();
      view(run).unsubscribe();
      await pass(GRACE_MS - 1);
      const back = view(run);
      await pass(10 * GRACE_MS);
      expect(script.isOpen).toBe(true);

      script.say('still here');
      expect(textOf(run)).toBe('still here');
      back.unsubscribe();
      await pass(GRACE_MS - 1);
      expect(script.isOpen).toBe(true);
      await pass(1);
      expect(script.isOpen).toBe(false);
    });

    it('should not count as left while any other viewer is there', async () => {
      const run = start();
      const [first, second] = [view(run), view(run)];
      first.unsubscribe();
      await pass(10 * GRACE_MS);
      second.unsubscribe();
      await pass(GRACE_MS - 1);
      expect(script.isOpen).toBe(true);
    });

    it('should show a viewer that comes after the grace its end, and start nothing', async () => {
      const run = start();
      const first = view(run);
      script.say('Hi');
      first.unsubscribe();
      await pass(GRACE_MS);

      const late = view(run);
      await pass(0);
      expect(late.closed).toBe(true);
      expect(typesOf(run)).toEqual(['start', 'message', 'cancelled']);
      await pass(60_000);
      expect(script.opened).toBe(1);
    });

    it('should stop at once with the policy cancel', async () => {
      const run = start({ graceMs: 0 });
      view(run).unsubscribe();
      expect(script.isOpen).toBe(false);
      await pass(0);
      expect(typesOf(run)).toEqual(['start', 'cancelled']);
    });

    it('should never stop with the policy continue', async () => {
      const run = start({ graceMs: Infinity });
      view(run).unsubscribe();
      await pass(2 ** 31);
      expect(script.isOpen).toBe(true);

      script.say('unseen');
      script.finish();
      script.end();
      await pass(0);
      expect(run.state).toMatchObject({ status: 'completed', finish_reason: 'stop' });
      expect(textOf(run)).toBe('unseen');
    });

    it('should end as it ends when that is within the grace', async () => {
      const run = start();
      view(run).unsubscribe();
      await pass(GRACE_MS - 1);
      script.finish();
      script.end();
      await pass(GRACE_MS);
      expect(typesOf(run)).toEqual(['start', 'done']);
    });
  });

  describe('when it is stopped', () => {
    it('should close upstream at once and end as cancelled, also when asked twice', async () => {
      const run = start();
      const viewer = view(run);
      script.say('Hi');
      const stops = [run.cancel(), run.cancel()];
      expect(script.isOpen).toBe(false);
      await Promise.all(stops);
      await run.cancel();

      expect(viewer.closed).toBe(true);
      expect(typesOf(run)).toEqual(['start', 'message', 'cancelled']);
      expect(run.state.status).toBe('cancelled');
    });

    it('should never start when that is before its first viewer', async () => {
      const run = start();
      await run.cancel();
      const late = view(run);

      expect(late.closed).toBe(true);
      expect(typesOf(run)).toEqual(['start', 'cancelled']);
      expect(script.opened).toBe(0);
    });

    it('should tell why when the server ends it', async () => {
      const run = start();
      view(run);
      await run.fail(new ChatError('shutting_down', 'Bye.'));

      expect(run.state).toMatchObject({
        status: 'failed',
        error: { code: 'shutting_down', message: 'Bye.', retryable: true },
      });
      expect(script.isOpen).toBe(false);
    });

    it('should ignore what upstream says after it', async () => {
      const run = start();
      view(run);
      await run.cancel();
      script.say('more');
      script.fail(new Error('late'));
      await pass(60_000);
      expect(typesOf(run)).toEqual(['start', 'cancelled']);
    });
  });

  describe('when upstream fails', () => {
    it.each<[string, ChatError | Error, object]>([
      [
        'provider_error',
        new ChatError('provider_error', 'Overloaded.'),
        { message: 'Overloaded.', retryable: true },
      ],
      [
        'internal',
        new TypeError('x is not a function'),
        { message: 'Something went wrong inside the server.' },
      ],
    ])('should end with one error, %s', async (code, thrown, data) => {
      const run = start();
      view(run);
      script.say('Hi');
      script.fail(thrown);
      await pass(0);

      expect(typesOf(run)).toEqual(['start', 'message', 'error']);
      expect(run.log.terminal).toMatchObject({ type: 'error', data: { code, ...data } });
      expect(run.state).toMatchObject({ status: 'failed', error: { code } });
    });

    it('should not take an end without a finish reason for a good one', async () => {
      const run = start();
      view(run);
      script.say('Hi');
      script.end();
      await pass(0);
      expect(run.state.error?.code).toBe('provider_truncated');
    });

    it('should fail when the answer is longer than allowed, and close upstream', async () => {
      const run = start({ maxLength: 200 });
      view(run);
      script.say('x'.repeat(50));
      expect(script.isOpen).toBe(true);
      script.say('x'.repeat(150));
      await pass(0);

      expect(script.isOpen).toBe(false);
      expect(run.state.error).toMatchObject({ code: 'provider_error', retryable: false });
      expect(textOf(run)).toBe('x'.repeat(50));
    });
  });

  describe('usage', () => {
    it("should be the provider's where it gave one", async () => {
      const run = start();
      view(run);
      script.say('Hi');
      script.finish();
      script.count(7, 1);
      script.end();
      await pass(0);

      expect(run.state.usage).toEqual({
        prompt_tokens: 7,
        completion_tokens: 1,
        total_tokens: 8,
        source: 'provider',
      });
      expect(estimateUsage).not.toHaveBeenCalled();
    });

    it("should be the provider's count so far for a run that is cut", async () => {
      const run = start();
      view(run);
      script.say('Hi');
      script.count(7, 1);
      await run.cancel();

      expect(run.log.terminal!.data.usage).toMatchObject({ total_tokens: 8, source: 'provider' });
    });

    it('should be estimated from all that was generated, for every way to end without it', async () => {
      const ends: ((run: LocalRun) => void)[] = [
        (run) => void run.cancel(),
        () => script.fail(new ChatError('provider_unavailable', 'reset')),
        () => script.end(),
        () => {
          script.finish();
          script.end();
        },
      ];
      for (const end of ends) {
        script = new Script();
        estimateUsage.mockClear();
        const run = start();
        view(run);
        script.say('Hel');
        script.say('lo');
        end(run);
        await pass(0);

        expect(estimateUsage.mock.calls).toEqual([['Hello']]);
        expect(run.log.terminal!.data.usage).toEqual(ESTIMATE);
        expect(run.state.usage).toEqual(ESTIMATE);
      }
    });

    it('should be none of a request that was refused', async () => {
      const run = start();
      view(run);
      script.fail(new ChatError('provider_rate_limited', 'slow down'));
      await pass(0);

      expect(estimateUsage).not.toHaveBeenCalled();
      expect(run.state.usage).toBeNull();
    });

    it('should be none of a request that was refused after the run was opened', async () => {
      const run = start({ commitAfterMs: 10 });
      view(run);
      await pass(10);
      expect(run.log.isOpen).toBe(true);
      script.fail(new ChatError('provider_unavailable', 'gone'));
      await pass(0);

      expect(estimateUsage).not.toHaveBeenCalled();
      expect(run.state.usage).toBeNull();
    });

    it.each<[string, (run: LocalRun) => void]>([
      ['was silent', () => script.fail(new ChatError('timeout_first_token', 'silent'))],
      ['took too long', () => script.fail(new ChatError('timeout_total', 'too long'))],
      ['said nothing', () => script.end()],
      ['was left by the server', (run) => void run.fail(new ChatError('shutting_down', 'Bye.'))],
    ])('should have the prompt of a request whose provider %s', async (_, end) => {
      const run = start();
      view(run);
      end(run);
      await pass(0);

      expect(estimateUsage.mock.calls).toEqual([['']]);
      expect(run.state).toMatchObject({ status: 'failed', usage: ESTIMATE });
    });

    it('should be none of a request that was refused as timed out', async () => {
      const run = start();
      view(run);
      script.fail(new ChatError('timeout_first_token', 'timed out', { upstreamStatus: 408 }));
      await pass(0);

      expect(estimateUsage).not.toHaveBeenCalled();
      expect(run.state.usage).toBeNull();
    });

    it('should be none of a request that was given up before any target was asked', async () => {
      script.hasAsked = false;
      const run = start();
      view(run);
      await run.cancel();

      expect(estimateUsage).not.toHaveBeenCalled();
      expect(run.state.usage).toBeNull();
    });

    it('should be counted after upstream was closed, with no second end meanwhile', async () => {
      let settle: (usage: Usage) => void = () => undefined;
      estimateUsage.mockReturnValue(new Promise((resolve) => (settle = resolve)));
      const run = start();
      const viewer = view(run);
      script.say('Hi');
      const stopped = run.cancel();
      expect(script.isOpen).toBe(false);
      void run.fail(new ChatError('shutting_down', 'Bye.'));
      viewer.unsubscribe();
      await pass(60_000);
      expect(run.log.terminal).toBeUndefined();

      settle(ESTIMATE);
      await stopped;
      expect(typesOf(run)).toEqual(['start', 'message', 'cancelled']);
    });

    it('should not be waited for to tell how the run ends, but to tell when', async () => {
      let settle: (usage: Usage) => void = () => undefined;
      estimateUsage.mockReturnValue(new Promise((resolve) => (settle = resolve)));
      const run = start();
      view(run);
      script.say('Hi');
      script.fail(new ChatError('provider_unavailable', 'reset'));
      const end = { status: 'failed', error: { code: 'provider_unavailable' } };
      expect(run.state).toMatchObject({ ...end, usage: null, ended_at: null });
      await pass(1_000);

      settle(ESTIMATE);
      await pass(0);
      const ended_at = new Date().toISOString();
      expect(run.state).toMatchObject({ ...end, usage: ESTIMATE, ended_at });
    });
  });

  describe('after the last finish reason', () => {
    it('should wait 2 s for usage, then close upstream and be done', async () => {
      const run = start();
      view(run);
      script.say('Hi');
      script.finish();
      await pass(1_999);
      expect([script.isOpen, run.log.terminal]).toEqual([true, undefined]);
      await pass(1);
      expect(script.isOpen).toBe(false);
      expect(typesOf(run)).toEqual(['start', 'message', 'done']);
    });

    it.each([
      ['timeout_idle', 'done'],
      ['timeout_total', 'done'],
      ['provider_truncated', 'error'],
    ] as const)('should take %s for the end that is %s', async (code, terminal) => {
      const run = start();
      view(run);
      script.say('Hi');
      script.finish();
      script.fail(new ChatError(code, 'too late'));
      await pass(0);
      expect(typesOf(run)).toEqual(['start', 'message', terminal]);
    });

    it.each<[string, (run: LocalRun, viewer: Subscription) => void]>([
      ['its viewer', (_run, viewer) => viewer.unsubscribe()],
      ['who stops it', (run) => void run.cancel()],
      ['a server that leaves', (run) => void run.fail(new ChatError('shutting_down', 'Bye.'))],
    ])('should be done in spite of %s', async (_who, end) => {
      const run = start({ graceMs: 0 });
      const viewer = view(run);
      script.say('Hi');
      script.finish();
      end(run, viewer);
      await pass(0);
      expect(script.isOpen).toBe(false);
      expect(typesOf(run)).toEqual(['start', 'message', 'done']);
    });

    it('should wait for the finish reason of every choice first', async () => {
      const run = start({ choices: 2 });
      view(run);
      script.say('one', 0);
      script.say('two', 1);
      script.finish(1);
      await pass(10_000);
      expect(script.isOpen).toBe(true);
      script.finish(0);
      await pass(2_000);
      expect(run.state).toMatchObject({ status: 'completed', finish_reason: 'stop' });
    });

    it('should be truncated when a choice has none', async () => {
      const run = start({ choices: 2 });
      view(run);
      script.say('one', 0);
      script.finish(0);
      script.end();
      await pass(0);
      expect(run.state.error?.code).toBe('provider_truncated');
    });
  });

  it('should be opened without content once that has been waited for long enough', async () => {
    const run = start({ commitAfterMs: 3_000 });
    const seen: unknown[] = [];
    run.activity.subscribe((event) => seen.push(event));
    await pass(2_999);
    expect(run.log.isOpen).toBe(false);
    await pass(1);
    expect(typesOf(run)).toEqual(['start']);
    expect(seen).toHaveLength(1);
  });

  it('should tell where a cursor is', async () => {
    const run = start();
    view(run);
    script.say('Hi');
    expect([0, 2, 3].map((seq) => run.locate(seq))).toEqual(['within', 'within', 'ahead']);
    await run.cancel();
    expect([2, 3, 4].map((seq) => run.locate(seq))).toEqual(['within', 'end', 'ahead']);
  });

  it('should tell its times', async () => {
    jest.setSystemTime(Date.parse('2026-01-02T03:04:05.000Z'));
    const run = start({ model: 'alias' });
    await pass(1_000);
    view(run);
    await pass(1_000);
    script.say('Hi');
    await pass(1_000);
    script.finish();
    script.end();
    await pass(0);

    expect(run.state).toEqual({
      id: run.id,
      object: 'run',
      status: 'completed',
      model: 'alias',
      target: 'test/model',
      finish_reason: 'stop',
      usage: ESTIMATE,
      error: null,
      created_at: '2026-01-02T03:04:05.000Z',
      started_at: '2026-01-02T03:04:06.000Z',
      first_token_at: '2026-01-02T03:04:07.000Z',
      ended_at: '2026-01-02T03:04:08.000Z',
    });
  });

  it('should leave no timer behind', async () => {
    for (const end of ['cancel', 'done', 'grace'] as const) {
      script = new Script();
      const run = start();
      const viewer = view(run);
      script.say('Hi');
      if (end === 'cancel') await run.cancel();
      if (end === 'grace') {
        viewer.unsubscribe();
        await pass(GRACE_MS);
      }
      script.finish();
      script.end();
      await pass(0);
      expect([end, jest.getTimerCount()]).toEqual([end, 0]);
    }
    const idle = start({ generation: { target: 'test/model', frames: NEVER, hasAsked: true } });
    await idle.cancel();
    expect(jest.getTimerCount()).toBe(0);
  });
});
