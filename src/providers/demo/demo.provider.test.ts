import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Subscription } from 'rxjs';
import type { ChatError } from '../../errors/chat-error.js';
import type { ChatRequest } from '../chat-provider.js';
import type { Delta, UpstreamChunk } from '../chunk.js';
import { DEMO_MODELS } from './demo-models.js';
import { DemoProvider } from './demo.provider.js';

const HOUR_MS = 3_600_000;

function ask(content: string): ChatRequest {
  return { messages: [{ role: 'user', content }] };
}

class Played {
  readonly chunks: UpstreamChunk[] = [];
  readonly times: number[] = [];
  completed = false;
  error?: ChatError;
  subscription?: Subscription;

  get deltas(): Delta[] {
    return this.choices.map(({ delta }) => delta!);
  }

  get text(): string {
    return this.deltas.map(({ content }) => (content as string | null) ?? '').join('');
  }

  get finishReasons(): string[] {
    return this.choices.flatMap(({ finish_reason }) => finish_reason ?? []);
  }

  private get choices() {
    return this.chunks.flatMap(({ choices }) => choices ?? []);
  }
}

describe(DemoProvider.name, () => {
  const sut = new DemoProvider('demo');

  beforeEach(() => {
    jest.useFakeTimers();
  });

  afterEach(() => {
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  /** Subscribes and notes everything, with the time of each frame in milliseconds. */
  function play(model: string, request = ask('やっほ')): Played {
    const start = Date.now();
    const played = new Played();
    played.subscription = sut.stream(model, request).subscribe({
      next: ({ chunk }) => {
        played.chunks.push(chunk);
        played.times.push(Date.now() - start);
      },
      error: (error: unknown) => (played.error = error as ChatError),
      complete: () => (played.completed = true),
    });
    return played;
  }

  function playToTheEnd(model: string, request?: ChatRequest) {
    const played = play(model, request);
    jest.advanceTimersByTime(HOUR_MS);
    return played;
  }

  it.each([
    ['max_completion_tokens', { max_completion_tokens: 3, max_tokens: 9 }],
    ['max_tokens', { max_completion_tokens: null, max_tokens: 3 }],
  ])('has no more tokens than %s', (_name, limits) => {
    const { chunks, completed, deltas, finishReasons } = playToTheEnd('long', {
      ...ask('hi'),
      ...limits,
    });
    expect(completed).toBe(true);
    expect(deltas.filter(({ content }) => content)).toHaveLength(3);
    expect(finishReasons).toEqual(['length']);
    expect(chunks.at(-1)!.usage).toMatchObject({ completion_tokens: 3 });
  });

  it('is the same from the first frame to the last, with the role first and usage last', () => {
    const { chunks, completed, deltas, finishReasons } = playToTheEnd('answer');
    expect(completed).toBe(true);
    expect(new Set(chunks.map(({ id, created, model }) => [id, created, model].join())).size).toBe(
      1,
    );
    expect(deltas[0]).toEqual({ role: 'assistant', content: '' });
    expect(finishReasons).toEqual(['stop']);
    expect(chunks.at(-2)!.choices).toMatchObject([{ delta: {}, finish_reason: 'stop' }]);

    const tokens = deltas.filter(({ content }) => content).length;
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 1, completion_tokens: tokens, total_tokens: tokens + 1 },
    });
  });

  it('quotes the question, in any language', () => {
    expect(playToTheEnd('answer').text).toMatch(
      /^You asked:\n\n> やっほ\n\nThis is \*\*Sluice\*\*/,
    );
    expect(playToTheEnd('answer', ask('one\r\ntwo')).text).toContain('\n> one\n> two\n');
    expect(playToTheEnd('answer', ask('👍'.repeat(600))).text).toContain(
      `> ${'👍'.repeat(500)} …\n`,
    );
    expect(playToTheEnd('answer', { messages: [] }).text).toMatch(/^This is \*\*Sluice\*\*/);
  });

  it('writes at a human pace', () => {
    const { times } = playToTheEnd('answer');
    expect(times[0]).toBeGreaterThanOrEqual(300);
    expect(times[0]).toBeLessThan(400);
    const pauses = times.slice(2, -2).map((time, index) => time - times[index + 1]!);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(25);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(40);
    expect(new Set(pauses).size).toBeGreaterThan(5);
  });

  it.each(Object.keys(DEMO_MODELS))('holds no timer once unsubscribed from %s', (model) => {
    for (const ms of [0, 10, 500, 9_000]) {
      const { subscription } = play(model);
      jest.advanceTimersByTime(ms);
      subscription!.unsubscribe();
      expect(jest.getTimerCount()).toBe(0);
    }
  });

  it('does nothing before somebody subscribes', () => {
    sut.stream('answer', ask('hi'));
    expect(jest.getTimerCount()).toBe(0);
  });

  it('echoes the last user message exactly', () => {
    const text = ' keep\r\n\tall of it: 日本語 👩‍👩‍👧  ';
    const request: ChatRequest = {
      messages: [
        { role: 'user', content: 'not this' },
        { role: 'assistant', content: 'nor this' },
        { role: 'user', content: [{ type: 'text', text }] },
      ],
    };
    expect(playToTheEnd('echo', request).text).toBe(text);
    expect(playToTheEnd('echo', ask('')).finishReasons).toEqual(['stop']);
  });

  it('starts late', () => {
    const { times, finishReasons } = playToTheEnd('slow-start');
    expect(times[0]).toBeGreaterThanOrEqual(8_000);
    expect(finishReasons).toEqual(['stop']);
  });

  it('is slow', () => {
    const { times, finishReasons } = playToTheEnd('slow');
    expect(times[3]! - times[2]!).toBe(1_000);
    expect(finishReasons).toEqual(['stop']);
  });

  it('goes silent for ever', () => {
    const { text, completed, error } = playToTheEnd('stall');
    expect(text).not.toBe('');
    expect({ completed, error }).toEqual({ completed: false, error: undefined });
  });

  it('fails before its first token', () => {
    const { chunks, error } = playToTheEnd('error');
    expect(chunks).toEqual([]);
    expect(error!.code).toBe('provider_unavailable');
  });

  it('fails after some tokens', () => {
    const { text, error } = playToTheEnd('error-mid');
    expect(text).not.toBe('');
    expect(error!.code).toBe('provider_error');
  });

  it('ends without a finish reason', () => {
    const { text, completed, finishReasons } = playToTheEnd('truncate');
    expect(text).not.toBe('');
    expect({ completed, finishReasons }).toEqual({ completed: true, finishReasons: [] });
  });

  it('is at its rate limit', () => {
    const { chunks, error } = playToTheEnd('rate-limit');
    expect(chunks).toEqual([]);
    expect(error).toMatchObject({ code: 'provider_rate_limited', retryAfterMs: 7_000 });
  });

  it('reasons before it answers', () => {
    const { deltas, text, chunks } = playToTheEnd('reasoning');
    const kinds = deltas.slice(1, -1).map(({ content }) => (content ? 'content' : 'reasoning'));
    expect(kinds).toEqual([...kinds].sort().reverse());
    expect(new Set(kinds).size).toBe(2);
    expect(text).not.toBe('');
    expect(chunks.at(-1)!.usage!.completion_tokens).toBe(kinds.length);
  });

  it("calls the request's tool, its arguments in pieces", () => {
    const parameters = { type: 'object', properties: {}, required: ['location'] };
    const { deltas, finishReasons } = playToTheEnd('tools', {
      ...ask('weather?'),
      tools: [{ type: 'function', function: { name: 'weather_at', parameters } }],
    });
    const calls = deltas.flatMap(({ tool_calls }) => tool_calls ?? []);
    expect(calls[0]).toEqual({
      index: 0,
      id: expect.stringMatching(/^call_/) as unknown,
      type: 'function',
      function: { name: 'weather_at', arguments: '' },
    });
    expect(calls.length).toBeGreaterThan(3);
    const json = calls.map((call) => call.function!.arguments as string).join('');
    expect(JSON.parse(json)).toEqual({ location: 'some location' });
    expect(finishReasons).toEqual(['tool_calls']);
  });

  it('answers once it has the result of the tool', () => {
    const { text, finishReasons } = playToTheEnd('tools', {
      messages: [{ role: 'tool', tool_call_id: 'call_1', content: '21 °C' }],
    });
    expect(text).toContain('> 21 °C');
    expect(finishReasons).toEqual(['stop']);
  });

  it('is long', () => {
    const { chunks, times } = playToTheEnd('long');
    expect(chunks.at(-1)!.usage!.completion_tokens).toBeGreaterThan(1_800);
    expect(chunks.at(-1)!.usage!.completion_tokens).toBeLessThan(2_200);
    expect(times.at(-1)).toBeLessThan(12_000);
  });

  it('names the models there are when asked for another', () => {
    for (const model of ['gpt-4o', 'constructor']) {
      const { error } = playToTheEnd(model);
      expect(error!.code).toBe('model_not_found');
      expect(error!.message).toContain('demo/answer, demo/echo, demo/slow-start');
    }
  });

  it('refuses to answer more than once', () => {
    const { error } = playToTheEnd('answer', { ...ask('hi'), n: 2 });
    expect(error).toMatchObject({ code: 'invalid_request', body: { param: 'n' } });
  });
});
