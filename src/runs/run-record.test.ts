import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Subject, type Subscription } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import type { UpstreamChunk } from '../providers/chunk.js';
import { LocalRun, type LocalRunOptions } from './local.run.js';
import type { RunRecord } from './run-record.js';

const GRACE_MS = 2_000;

describe("a run's record", () => {
  let frames: Subject<Frame>;
  let records: RunRecord[];

  beforeEach(() => {
    jest.useFakeTimers({ now: Date.parse('2026-01-02T03:04:05.000Z') });
    frames = new Subject();
    records = [];
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  function start(options: Partial<LocalRunOptions> = {}): LocalRun {
    return new LocalRun({
      caller: { owner: 'key:ann', name: 'ann', source: 'key', credential: 'a' },
      requestId: 'request-1',
      model: 'alias',
      generation: { target: 'test/model', frames, hasAsked: true },
      choices: 1,
      graceMs: GRACE_MS,
      commitAfterMs: 10_000,
      maxLength: 100_000,
      estimateUsage: (generated) =>
        Promise.resolve({
          prompt_tokens: 5,
          completion_tokens: generated.length,
          total_tokens: 5 + generated.length,
          source: 'estimated',
        }),
      onEnd: (record) => records.push(record),
      ...options,
    });
  }

  const view = (run: LocalRun): Subscription => run.activity.subscribe();
  const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

  function say(content: string, finish_reason?: string, usage?: UpstreamChunk['usage']) {
    frames.next({ chunk: { choices: [{ index: 0, delta: { content }, finish_reason }], usage } });
  }

  it('should tell who asked, what answered, how it ended, how long it took and what it used', async () => {
    const run = start();
    await pass(100);
    view(run);
    await pass(200);
    say('Grüße', 'stop', {
      prompt_tokens: 9,
      completion_tokens: 7,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 6 },
    });
    await pass(300);
    frames.complete();
    await pass(0);

    expect(records).toEqual([
      {
        run_id: run.id,
        owner: 'key:ann',
        name: 'ann',
        request_id: 'request-1',
        trace_id: null,
        model: 'alias',
        target: 'test/model',
        status: 'completed',
        finish_reason: 'stop',
        error_code: null,
        prompt_tokens: 9,
        cached_tokens: 4,
        completion_tokens: 7,
        reasoning_tokens: 6,
        total_tokens: 16,
        unseen_tokens: 0,
        token_source: 'provider',
        bytes: 7,
        chunks: 1,
        viewers: 1,
        created_at: '2026-01-02T03:04:05.000Z',
        ttft_ms: 300,
        duration_ms: 600,
      },
    ]);
  });

  it('should count no details that are no number of tokens', async () => {
    const details = {
      prompt_tokens_details: { cached_tokens: 0.5 },
      completion_tokens_details: { reasoning_tokens: '12' },
    } as object;
    view(start());
    say('a', 'stop', { prompt_tokens: 9, completion_tokens: 7, ...details });
    frames.complete();
    await pass(0);
    expect(records).toMatchObject([{ cached_tokens: 0, reasoning_tokens: 0, total_tokens: 16 }]);
  });

  it.each<[string, (run: LocalRun) => unknown, Partial<RunRecord>]>([
    ['a stop', (run) => run.cancel(), { status: 'cancelled', completion_tokens: 5 }],
    [
      'a failure',
      () => frames.error(new ChatError('provider_unavailable', 'gone')),
      { status: 'failed', error_code: 'provider_unavailable', completion_tokens: 5 },
    ],
    ['an early end', () => frames.complete(), { error_code: 'provider_truncated' }],
  ])('should come once after %s, with what was generated', async (_name, end, expected) => {
    const run = start();
    view(run);
    say('Hello');
    await end(run);
    await pass(0);
    await run.cancel();
    expect(records).toMatchObject([
      { ...expected, token_source: 'estimated', prompt_tokens: 5, finish_reason: null },
    ]);
  });

  it('should count nothing of a request that was refused', async () => {
    view(start());
    frames.error(new ChatError('provider_auth', 'no'));
    await pass(0);
    expect(records).toMatchObject([
      { error_code: 'provider_auth', total_tokens: 0, token_source: null, ttft_ms: null },
    ]);
  });

  it('should come when viewers have seen the end', async () => {
    let seen: string | undefined;
    const run = start({ onEnd: () => (seen = run.log.terminal?.type) });
    view(run);
    await run.cancel();
    expect(seen).toBe('cancelled');
  });

  describe('of what was generated when nobody was there', () => {
    it('should count from when the last viewer left, by the share of the text', async () => {
      const run = start({ graceMs: Infinity });
      const viewers = [view(run), view(run)];
      say('ab');
      viewers[0]!.unsubscribe();
      say('cd');
      viewers[1]!.unsubscribe();
      say('efghijkl', 'stop', { prompt_tokens: 9, completion_tokens: 6 });
      frames.complete();
      await pass(0);
      expect(records).toMatchObject([{ completion_tokens: 6, unseen_tokens: 4, viewers: 2 }]);
    });

    it('should count nothing for a viewer that came back and stayed', async () => {
      const run = start();
      view(run).unsubscribe();
      say('ab');
      view(run);
      say('cd', 'stop');
      frames.complete();
      await pass(0);
      expect(records).toMatchObject([{ completion_tokens: 4, unseen_tokens: 0, viewers: 2 }]);
    });

    it('should count from when the one that came back left again', async () => {
      const run = start();
      view(run).unsubscribe();
      say('ab');
      view(run).unsubscribe();
      say('cd');
      await pass(GRACE_MS);
      expect(records).toMatchObject([
        { status: 'cancelled', completion_tokens: 4, unseen_tokens: 2, viewers: 2 },
      ]);
    });

    it('should count nothing of a run that was stopped before anybody viewed it', async () => {
      const run = start();
      await run.cancel();
      expect(records).toMatchObject([{ viewers: 0, unseen_tokens: 0 }]);
    });
  });
});
