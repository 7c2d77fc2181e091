import { describe, expect, it } from '@jest/globals';
import { Observable } from 'rxjs';
import type { ChatError } from '../../errors/chat-error.js';
import type { Frame } from '../chat-provider.js';
import { chatParser } from './chat.parser.js';

const DONE = '{"message":{"content":""},"done":true,"done_reason":"stop"}';

/** Parses lines until one ends or fails the stream. */
function parse(...lines: string[]) {
  const chunks: Frame['chunk'][] = [];
  let ended = false;
  let error: ChatError | undefined;
  new Observable<Frame>((subscriber) => {
    const parser = chatParser('llama3.2', subscriber);
    ended = lines.some((line) => parser(line));
  }).subscribe({
    next: ({ chunk }) => chunks.push(chunk),
    error: (thrown: unknown) => (error = thrown as ChatError),
  });
  return { chunks, ended, error };
}

/** What each chunk says, without its head. */
function parsed(...lines: string[]): unknown[] {
  return parse(...lines).chunks.map(({ choices, usage }) => {
    const choice = choices?.[0];
    return choice ? (choice.finish_reason ?? choice.delta) : usage;
  });
}

describe(chatParser.name, () => {
  it('gives the role first, then content, the finish reason and usage', () => {
    expect(
      parsed(
        '{"model":"llama3.2","message":{"role":"assistant","content":"や"},"done":false}',
        '{"message":{"content":"っほ"},"done":false}',
        '{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":9,"eval_count":2}',
      ),
    ).toEqual([
      { role: 'assistant', content: '' },
      { content: 'や' },
      { content: 'っほ' },
      'stop',
      { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 },
    ]);
  });

  it('gives all chunks one id, time and model', () => {
    const { chunks } = parse('{"message":{"content":"a"}}', '{"done":true,"eval_count":1}');
    expect(chunks).toHaveLength(4);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({
        id: expect.stringMatching(/^chatcmpl-/),
        object: 'chat.completion.chunk',
        created: chunks[0]!.created,
        model: 'llama3.2',
      });
    }
  });

  it('ends at done, and loses no content of that line', () => {
    const { ended } = parse('{"message":{"content":"a"},"done":false}');
    expect(ended).toBe(false);
    expect(parse(DONE).ended).toBe(true);
    expect(parsed('{"message":{"content":"all"},"done":true}')).toEqual([
      { role: 'assistant', content: '' },
      { content: 'all' },
      'stop',
    ]);
  });

  it.each([
    ['stop', 'stop'],
    ['length', 'length'],
    ['load', 'stop'],
    ['unload', 'stop'],
  ])('turns done_reason %s into %s', (done_reason, finishReason) => {
    expect(parsed(JSON.stringify({ done: true, done_reason })).at(-1)).toBe(finishReason);
  });

  it('counts a cached prompt as none, and nothing where Ollama counted nothing', () => {
    expect(parsed('{"done":true,"eval_count":5}').at(-1)).toEqual({
      prompt_tokens: 0,
      completion_tokens: 5,
      total_tokens: 5,
    });
    expect(parsed(DONE).at(-1)).toBe('stop');
  });

  it('gives thinking as reasoning', () => {
    expect(parsed('{"message":{"content":"","thinking":"hm"}}')[1]).toEqual({
      reasoning_content: 'hm',
    });
  });

  it('gives tool calls with an index, an id and their arguments as JSON', () => {
    const call = { function: { name: 'f', arguments: { city: '東京', days: [1, 2] } } };
    const line = JSON.stringify({ message: { content: '', tool_calls: [call, call] } });
    const withId = '{"message":{"tool_calls":[{"id":"call_7","function":{"name":"g"}}]}}';
    const id = expect.stringMatching(/^call_/) as unknown;
    const args = '{"city":"東京","days":[1,2]}';

    const deltas = parsed(line, withId, DONE);
    expect(deltas.slice(1)).toEqual([
      {
        tool_calls: [
          { index: 0, id, type: 'function', function: { name: 'f', arguments: args } },
          { index: 1, id, type: 'function', function: { name: 'f', arguments: args } },
        ],
      },
      {
        tool_calls: [
          { index: 2, id: 'call_7', type: 'function', function: { name: 'g', arguments: '{}' } },
        ],
      },
      'tool_calls',
    ]);
    const [first, second] = (deltas[1] as { tool_calls: { id: string }[] }).tool_calls;
    expect(first!.id).not.toBe(second!.id);
  });

  it('passes log probabilities on', () => {
    const logprobs = [{ token: 'a', logprob: -0.1, bytes: [97], top_logprobs: [] }];
    const { chunks } = parse(JSON.stringify({ message: { content: 'a' }, logprobs }));
    expect(chunks[1]!.choices).toMatchObject([{ logprobs: { content: logprobs, refusal: null } }]);
  });

  it('completes log probabilities, and overlooks what are none', () => {
    const logprobsOf = (logprobs: unknown) =>
      parse(JSON.stringify({ message: { content: 'a' }, logprobs })).chunks[1]!.choices![0]!
        .logprobs;
    expect(logprobsOf([{ token: 'a', logprob: -0.1 }])).toEqual({
      content: [{ token: 'a', logprob: -0.1, bytes: null, top_logprobs: [] }],
      refusal: null,
    });
    expect(logprobsOf([{ text: 'a' }])).toBeUndefined();
  });

  it('overlooks blank lines', () => {
    expect(parsed('', ' ')).toEqual([]);
  });

  it('throws an error line as provider_error', () => {
    const { error } = parse('{"error":"model runner has stopped"}');
    expect(error).toMatchObject({ code: 'provider_error', message: 'model runner has stopped' });
    expect(parse('{"error":{"code":1}}').error!.message).toBe('The provider reported an error.');
  });

  it.each(['{"mess', 'null', '[]', '"text"', '{"message":{"content":7}}', '<html>'])(
    'refuses %s without quoting it',
    (line) => {
      expect(parse(line).error).toMatchObject({
        code: 'provider_malformed',
        message: 'The provider sent a line that is no chat answer.',
      });
    },
  );

  it('refuses arguments that are nested too deeply to be written', () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000);
    const call = `{"function":{"name":"f","arguments":{"a":${deep}}}}`;
    expect(parse(`{"message":{"tool_calls":[${call}]}}`).error).toMatchObject({
      code: 'provider_malformed',
      message: 'The provider sent a chunk nested too deeply.',
    });
  });
});
