import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import { Observable } from 'rxjs';
import type { Frame } from '../providers/chat-provider.js';
import type { Delta, UpstreamChoice, UpstreamChunk } from '../providers/chunk.js';
import { chunkParser } from '../providers/openai/chunk.parser.js';
import type { Draft } from './entry.js';
import { Transcriber } from './transcriber.js';

const HEAD = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_700_000_000 };

type Fields = Omit<UpstreamChunk, 'choices'> & Record<string, unknown>;

/** A chunk as OpenAI sends it. */
function chunk(choices: UpstreamChoice[], fields: Fields = {}): UpstreamChunk {
  return { ...HEAD, model: 'gpt', choices, ...fields };
}

function choice(delta: UpstreamChoice['delta'], finish_reason: string | null = null, index = 0) {
  return { index, delta, logprobs: null, finish_reason };
}

const text = (content: string, index = 0) => choice({ content }, null, index);
const first = (content: string) => choice({ role: 'assistant', content });
const finish = (reason = 'stop', index = 0) => choice({}, reason, index);

/** All events of an answer, the last one included. */
function transcribe(chunks: UpstreamChunk[], choices = 1): Draft[] {
  const transcriber = new Transcriber({ target: 'test/gpt' }, choices);
  const events = chunks.flatMap((each) =>
    transcriber.add({ chunk: each, json: JSON.stringify(each) }),
  );
  return [...events, transcriber.end()];
}

function eventsOf(chunks: UpstreamChunk[]) {
  return transcribe(chunks)
    .slice(0, -1)
    .map(({ type, data }) => ({ type, data }));
}

/** The chunks that OpenAI's clients get, parsed. */
function outputOf(drafts: Draft[]): ChatCompletionChunk[] {
  return drafts
    .flatMap(({ chunks }) => chunks ?? [])
    .map((output) =>
      typeof output === 'string' ? (JSON.parse(output) as ChatCompletionChunk) : output,
    );
}

/** Frames as the provider makes them, most of which are like the one before. */
function framesOf(chunks: UpstreamChunk[]): Frame[] {
  const frames: Frame[] = [];
  new Observable<Frame>((subscriber) => {
    const parse = chunkParser(subscriber, Infinity);
    for (const each of chunks) {
      parse(`data: ${JSON.stringify(each)}`);
      parse('');
    }
  }).subscribe((frame) => frames.push(frame));
  return frames;
}

describe(Transcriber, () => {
  it('should make the same of chunks that are like others as of those that are parsed', () => {
    const content = fc.constantFrom('Hi', ' there', '', 'a"b', 'や');
    const delta: fc.Arbitrary<Delta> = fc.oneof(
      { weight: 5, arbitrary: fc.record({ content }) },
      fc.record({ content, role: fc.constantFrom('assistant', 'nobody') }),
      fc.record({ content, reasoning: fc.constantFrom('Hm', '', null) }),
      fc.constant<Delta>({ tool_calls: [{ index: 0, function: { arguments: '{' } }] }),
    );
    const choices: fc.Arbitrary<UpstreamChoice[]> = fc.oneof(
      { weight: 5, arbitrary: fc.tuple(delta.map((each) => choice(each))) },
      fc.tuple(fc.record({ delta, finish_reason: fc.constantFrom('stop', null) })),
      fc.constant<UpstreamChoice[]>([]),
    );
    const fields: fc.Arbitrary<Fields> = fc.oneof(
      { weight: 5, arbitrary: fc.constant({}) },
      fc.record({ id: fc.constantFrom('chatcmpl-2', 'chatcmpl-3') }),
      fc.constant({ system_fingerprint: null }),
      fc.constant({ usage: { prompt_tokens: 1, completion_tokens: 2 } }),
      fc.constant({ prompt_filter_results: [] }),
    );
    const chunks = fc.array(fc.tuple(choices, fields), { maxLength: 12 });
    // What repeats is what is like it.
    const answer = fc.array(fc.tuple(chunks, fc.integer({ min: 1, max: 4 })), { maxLength: 3 });
    let like = 0;
    fc.assert(
      fc.property(answer, (parts) => {
        const frames = framesOf(
          parts
            .flatMap(([part, times]) => Array<typeof part>(times).fill(part).flat())
            .map(([made, more]) => chunk(made, more)),
        );
        const quick = new Transcriber({ target: 'test/gpt' }, 1);
        const thorough = new Transcriber({ target: 'test/gpt' }, 1);
        for (const frame of frames) {
          const parsed = JSON.parse(frame.json!) as UpstreamChunk;
          if (frame.template) like += 1;
          const events = quick.add(frame).map(({ type, data, chunks }) => ({ type, data, chunks }));
          expect(events).toEqual(thorough.add({ chunk: parsed, json: frame.json }));
        }
        expect(quick.hasFinished).toBe(thorough.hasFinished);
        if (quick.hasFinished) expect(quick.end()).toEqual(thorough.end());
      }),
      { numRuns: 1_000 },
    );
    expect(like).toBeGreaterThan(1_000);
  });

  describe('events', () => {
    it('should be one for each kind of content, in order', () => {
      const calls = [{ index: 0, id: 'call_1', function: { name: 'f', arguments: '{"a' } }];
      expect(
        eventsOf([
          chunk([choice({ role: 'assistant', content: '' })]),
          chunk([choice({ reasoning_content: 'Hm. ' })]),
          chunk([choice({ reasoning: 'So. ', content: 'Hi' })]),
          chunk([choice({ refusal: 'No.' })]),
          chunk([choice({ tool_calls: calls })]),
          chunk([choice({ tool_calls: [{ index: 0, function: { arguments: '":1}' } }] })]),
          chunk([finish('tool_calls')]),
        ]),
      ).toEqual([
        { type: 'reasoning', data: { content: 'Hm. ' } },
        { type: 'reasoning', data: { content: 'So. ' } },
        { type: 'message', data: { content: 'Hi' } },
        { type: 'refusal', data: { content: 'No.' } },
        { type: 'tool_call', data: { index: 0, id: 'call_1', name: 'f', arguments: '{"a' } },
        { type: 'tool_call', data: { index: 0, arguments: '":1}' } },
      ]);
    });

    it('should be a tool call for what OpenAI had before tool calls', () => {
      const call = (name: string | undefined, json: string) =>
        chunk([choice({ function_call: { name, arguments: json } })]);
      expect(
        eventsOf([call('f', ''), call(undefined, '{}'), chunk([finish('function_call')])]),
      ).toEqual([
        { type: 'tool_call', data: { index: 0, name: 'f', arguments: '' } },
        { type: 'tool_call', data: { index: 0, arguments: '{}' } },
      ]);
    });

    it('should be a delta for content that has no other event, at once', () => {
      const audio = { id: 'audio_1', data: 'UklGRg==' };
      const transcriber = new Transcriber({ target: 'test/gpt' }, 1);
      const add = (delta: object, reason: string | null = null) => {
        const frame = chunk([choice(delta, reason)]);
        return transcriber.add({ chunk: frame, json: JSON.stringify(frame) });
      };
      expect(add({ role: 'assistant', content: '', images: [], x_index: 3, x_on: true })).toEqual(
        [],
      );
      const [event] = add({ content: null, audio });
      expect(event).toMatchObject({ type: 'delta', data: { audio } });
      expect(event!.chunks).toHaveLength(2);
      expect(add({ content: 'Hi', annotations: [1] }).map(({ type }) => type)).toEqual(['message']);

      const [last] = add({ annotations: [1] }, 'stop');
      expect(outputOf([last!]).map(({ choices }) => choices[0]!.finish_reason)).toEqual([null]);
      expect(outputOf([transcriber.end()]).map(({ choices }) => choices[0])).toEqual([finish()]);
    });

    it('should number tool calls by their place where upstream does not', () => {
      const tool_calls = [{ function: { name: 'f' } }, { function: { name: 'g' } }];
      const [f, g] = eventsOf([chunk([choice({ tool_calls })]), chunk([finish('tool_calls')])]);
      expect(f!.data).toEqual({ index: 0, name: 'f', arguments: '' });
      expect(g!.data).toEqual({ index: 1, name: 'g', arguments: '' });
    });

    it.each([0, undefined])('should tell calls apart that all have the index %j', (index) => {
      const call = (id: string | undefined, name: string | undefined, json: string) =>
        chunk([choice({ tool_calls: [{ index, id, function: { name, arguments: json } }] })]);
      const events = eventsOf([
        call('a', 'f', '{"x":1}'),
        call('b', 'f', '{"x"'),
        call('b', undefined, ':2}'),
        // Some servers give every piece an id.
        call('c', 'g', '{"y"'),
        call('d', 'g', ':3}'),
        chunk([finish('tool_calls')]),
      ]);
      expect(events.map(({ data }) => data)).toEqual([
        { index: 0, id: 'a', name: 'f', arguments: '{"x":1}' },
        { index: 1, id: 'b', name: 'f', arguments: '{"x"' },
        { index: 1, arguments: ':2}' },
        { index: 2, id: 'c', name: 'g', arguments: '{"y"' },
        { index: 2, arguments: ':3}' },
      ]);
    });

    it('should have the name and the input of a custom tool', () => {
      const call = (custom: object, id?: string) =>
        chunk([choice({ tool_calls: [{ index: 0, id, type: 'custom', ...{ custom } }] })]);
      const chunks = [
        call({ name: 'sh', input: '' }, 'a'),
        call({ input: 'ls -l' }),
        chunk([finish('tool_calls')]),
      ];
      expect(eventsOf(chunks).map(({ data }) => data)).toEqual([
        { index: 0, id: 'a', name: 'sh', arguments: '' },
        { index: 0, arguments: 'ls -l' },
      ]);
    });

    it('should be none for frames without content', () => {
      expect(
        eventsOf([
          { choices: [], ...{ prompt_filter_results: [] } },
          { choices: null },
          {},
          chunk([{ index: 0, delta: null, finish_reason: null }]),
          chunk([{ index: 0, finish_reason: null }]),
          chunk([choice({ role: 'assistant', content: '' })]),
          chunk([choice({ content: null, tool_calls: null })]),
          chunk([finish()]),
        ]),
      ).toEqual([]);
    });
  });

  describe('chunks', () => {
    it("should stay upstream's own JSON when nothing in them must change", () => {
      const json = '{"id":"chatcmpl-1", "object":"chat.completion.chunk", "x_new":1e2}';
      const transcriber = new Transcriber({ target: 'test/gpt' }, 1);
      const [event] = transcriber.add({ chunk: chunk([first('Hi')]), json });
      expect(event!.chunks).toEqual([json]);
    });

    it('should travel with the next event, or with the end, when they have none of their own', () => {
      const role = chunk([choice({ role: 'assistant', content: '' })]);
      const drafts = transcribe([role, chunk([text('Hi')]), chunk([finish()])]);
      expect(drafts.map(({ chunks }) => chunks?.length)).toEqual([2, 1]);
      expect(outputOf(drafts)).toEqual([role, chunk([text('Hi')]), chunk([finish()])]);
    });

    it('should have a role in the first of each choice, as the clients of OpenAI count on', () => {
      const chunks = [
        chunk([text('a'), text('b', 1)]),
        chunk([text('c'), text('d', 1)]),
        chunk([finish(), finish('stop', 1)]),
      ];
      const roles = outputOf(transcribe(chunks, 2)).map(({ choices }) =>
        choices.map(({ delta }) => delta.role),
      );
      expect(roles).toEqual([
        ['assistant', 'assistant'],
        [undefined, undefined],
        [undefined, undefined],
      ]);
    });

    it('should have it in no other, whatever upstream repeats, also where chunks are alike', () => {
      const chunks = [
        ...['a', 'b', 'c', 'd'].map((content) => chunk([first(content)])),
        chunk([choice({ role: 'assistant', content: '' }, 'stop')]),
      ];
      const transcriber = new Transcriber({ target: 'test/gpt' }, 1);
      const events = framesOf(chunks).flatMap((frame) => transcriber.add(frame));
      const deltas = outputOf([...events, transcriber.end()]).map(
        ({ choices }) => choices[0]!.delta,
      );
      expect(deltas).toEqual([
        { role: 'assistant', content: 'a' },
        ...['b', 'c', 'd', ''].map((content) => ({ content })),
      ]);
    });

    it('should have id, type and name once a call, and a name that comes in pieces whole', () => {
      const piece = (name: string, json: string) => ({
        index: 0,
        id: 'call_1',
        type: 'function' as const,
        function: { name, arguments: json },
      });
      const pieces = [piece('get_', '{"x"'), piece('time', ':'), piece('get_time', '1}')];
      const chunks = pieces.map((call) => chunk([choice({ tool_calls: [call] })]));
      const drafts = transcribe([...chunks, chunk([finish('tool_calls')])]);
      const calls = outputOf(drafts).flatMap(({ choices }) => choices[0]!.delta.tool_calls ?? []);
      expect(calls).toEqual([
        pieces[0],
        { index: 0, function: { name: 'time', arguments: ':' } },
        { index: 0, function: { arguments: '1}' } },
      ]);
      expect(drafts.slice(0, -1).map(({ data }) => data)).toEqual([
        { index: 0, id: 'call_1', name: 'get_', arguments: '{"x"' },
        { index: 0, name: 'time', arguments: ':' },
        { index: 0, arguments: '1}' },
      ]);
    });

    it('should all have one id and one time of creation', () => {
      const drafts = transcribe([
        chunk([text('a')]),
        chunk([text('b')], { id: 'other', created: 5 }),
        chunk([text('c')], { id: undefined, created: undefined, object: undefined }),
        chunk([finish()], { id: '', model: '' }),
      ]);
      for (const output of outputOf(drafts))
        expect(output).toMatchObject({ ...HEAD, model: 'gpt' });
    });

    it('should get an id, a time and a model where upstream gives none at all', () => {
      const [one, ...others] = outputOf(
        transcribe([{ choices: [{ delta: { content: 'a' } }] }, { choices: [finish()] }]),
      );
      expect(one).toEqual({
        id: expect.stringMatching(/^chatcmpl-./),
        object: 'chat.completion.chunk',
        created: expect.any(Number),
        model: 'test/gpt',
        choices: [{ index: 0, delta: { role: 'assistant', content: 'a' }, finish_reason: null }],
      });
      expect(others.map(({ id, created }) => ({ id, created }))).toEqual([
        { id: one!.id, created: one!.created },
      ]);
    });

    it('should have no finish reason beside content: it gets a chunk of its own', () => {
      const drafts = transcribe([chunk([choice({ content: 'Hi' }, 'stop')])]);
      expect(outputOf(drafts).map(({ choices }) => choices)).toEqual([
        [first('Hi')],
        [{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }],
      ]);
      expect(drafts.map(({ type, chunks }) => [type, chunks?.length])).toEqual([
        ['message', 1],
        ['done', 1],
      ]);
    });

    it('should have one finish reason a choice, however often upstream repeats it', () => {
      const drafts = transcribe([
        chunk([text('a')]),
        chunk([finish()]),
        chunk([finish()]),
        chunk([finish('length')]),
      ]);
      const reasons = outputOf(drafts).map(({ choices }) => choices[0]!.finish_reason);
      expect(reasons.filter((reason) => reason !== null)).toEqual(['stop']);
      expect(drafts.at(-1)!.data).toMatchObject({ finish_reason: 'stop' });
    });

    it('should have no usage: it comes apart, at the end', () => {
      const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
      const drafts = transcribe([
        chunk([text('a')], { usage: { prompt_tokens: 3, completion_tokens: 1 } }),
        chunk([finish()], { usage }),
      ]);
      for (const output of outputOf(drafts)) expect(output.usage).toBeUndefined();
      expect(drafts.at(-1)).toMatchObject({
        type: 'done',
        data: { usage: { ...usage, source: 'provider' } },
        usageChunk: { ...HEAD, model: 'gpt', choices: [] },
      });
    });

    it('should bring along what frames without choices say, and fields nobody knows', () => {
      const drafts = transcribe([
        { id: '', choices: [], ...{ prompt_filter_results: [1] } },
        chunk([text('a')], { x_trace: 'yes' }),
        chunk([finish()]),
      ]);
      expect(outputOf(drafts)[0]).toMatchObject({
        ...HEAD,
        prompt_filter_results: [1],
        x_trace: 'yes',
      });
      expect(outputOf(drafts)[1]).not.toHaveProperty('prompt_filter_results');
    });

    it('should bring along what is said beside the usage, or last, with the chunk of the usage', () => {
      const drafts = transcribe([
        chunk([text('a')]),
        chunk([finish()]),
        chunk([], { usage: { prompt_tokens: 1 }, timings: { predicted_ms: 5 } }),
        chunk([], { x_last: 1 }),
      ]);
      const { usageChunk } = drafts.at(-1) as Draft & { type: 'done' };
      expect(usageChunk).toEqual(chunk([], { timings: { predicted_ms: 5 }, x_last: 1 }));
    });

    it('should not have what the schema forbids', () => {
      const drafts = transcribe([
        chunk([text('a')], { system_fingerprint: null, service_tier: 'on_demand' }),
        chunk([text('b')], { system_fingerprint: 'fp', service_tier: null }),
        chunk([finish('eos')], { system_fingerprint: 'fp', service_tier: 'flex' }),
        chunk([], { system_fingerprint: null, usage: { prompt_tokens: 1 } }),
      ]);
      expect(outputOf(drafts)).toEqual([
        chunk([first('a')]),
        chunk([text('b')], { system_fingerprint: 'fp', service_tier: null }),
        chunk([finish('stop')], { system_fingerprint: 'fp', service_tier: 'flex' }),
      ]);
      const { data, usageChunk } = drafts.at(-1) as Draft & { type: 'done' };
      expect(data.finish_reason).toBe('stop');
      expect(usageChunk).toEqual(chunk([]));
    });

    it('should be given what the schema requires: an index, a delta, a finish reason', () => {
      const drafts = transcribe([
        { ...HEAD, model: 'gpt', choices: [{ delta: { tool_calls: [{ function: {} }] } }] },
        { ...HEAD, model: 'gpt', choices: [{ index: 0 }] },
        chunk([finish()]),
      ]);
      expect(outputOf(drafts).map(({ choices }) => choices[0])).toEqual([
        {
          index: 0,
          delta: {
            role: 'assistant',
            tool_calls: [{ index: 0, type: 'function', function: {} }],
          },
          finish_reason: null,
        },
        { index: 0, delta: {}, finish_reason: null },
        finish(),
      ]);
    });
  });

  it.each([1, -1])('should refuse an answer that was not asked for: index %i', (index) => {
    const transcriber = new Transcriber({ target: 'test/gpt' }, 1);
    transcriber.add({ chunk: chunk([text('Hi')]) });
    expect(() => transcriber.add({ chunk: chunk([finish('stop', index)]) })).toThrow(
      expect.objectContaining({ code: 'provider_malformed' }),
    );
  });

  describe('the end', () => {
    it('should have finished when every choice has its finish reason', () => {
      const transcriber = new Transcriber({ target: 'test/gpt' }, 2);
      transcriber.add({ chunk: chunk([finish('stop', 1)]) });
      transcriber.add({ chunk: chunk([finish('stop', 1)]) });
      expect(transcriber.hasFinished).toBe(false);
      transcriber.add({ chunk: chunk([finish('length', 0)]) });
      expect(transcriber.hasFinished).toBe(true);
      expect(transcriber.end().data).toMatchObject({ finish_reason: 'length' });
    });

    it.each([
      ['no choice ended', 1, []],
      ['one of two did not', 2, [chunk([finish('stop', 0)])]],
    ])('should be truncated when %s', (_case, choices, chunks) => {
      expect(() => transcribe(chunks, choices)).toThrow(
        expect.objectContaining({ code: 'provider_truncated' }),
      );
    });
  });

  describe('usage', () => {
    it('should be nothing until upstream counted', () => {
      const transcriber = new Transcriber({ target: 'test/gpt' }, 1);
      transcriber.add({ chunk: chunk([text('a')], { usage: null }) });
      expect(transcriber.usage).toBeNull();
    });

    it('should not have a null where a service counts no details', () => {
      const transcriber = new Transcriber({ target: 'test/gpt' }, 1);
      const counts = { prompt_tokens: 3, completion_tokens: 5, total_tokens: null };
      const usage = { ...counts, prompt_tokens_details: null } as unknown as UpstreamChunk['usage'];
      transcriber.add({ chunk: { choices: [], usage } });
      expect(transcriber.usage).toEqual({ ...counts, total_tokens: 8, source: 'provider' });
    });

    it('should be the last count, with the sum that some services leave out', () => {
      const transcriber = new Transcriber({ target: 'test/gpt' }, 1);
      const details = { completion_tokens_details: { reasoning_tokens: 2 } };
      transcriber.add({ chunk: { choices: [], usage: { prompt_tokens: 3 } } });
      transcriber.add({
        chunk: { choices: [], usage: { prompt_tokens: 3, completion_tokens: 5, ...details } },
      });
      expect(transcriber.usage).toEqual({
        prompt_tokens: 3,
        completion_tokens: 5,
        total_tokens: 8,
        ...details,
        source: 'provider',
      });
    });
  });
});
