import { describe, expect, it } from '@jest/globals';
import type { Delta, UpstreamChoice } from '../providers/chunk.js';
import { isStandard, toStandard } from './standard-choice.js';

function choice(delta: unknown, fields: Record<string, unknown> = {}): UpstreamChoice {
  return { index: 0, delta: delta as Delta, finish_reason: null, ...fields };
}

function deltaOf(delta: unknown) {
  const given = choice(delta);
  expect(isStandard(given)).toBe(false);
  const standard = toStandard(given);
  expect(isStandard(standard)).toBe(true);
  return standard.delta;
}

describe(isStandard, () => {
  it.each([
    ['text', choice({ content: 'a' })],
    ['the first chunk', choice({ role: 'assistant', content: '', refusal: null })],
    ['the last chunk', choice({}, { finish_reason: 'stop', logprobs: null })],
    ['log probabilities', choice({ content: 'a' }, { logprobs: { content: [], refusal: null } })],
    [
      'a tool call',
      choice({ tool_calls: [{ index: 0, id: 'c', type: 'function', function: {} }] }),
    ],
    ['arguments', choice({ tool_calls: [{ index: 0, function: { arguments: '{' } }] })],
    ['a custom tool', choice({ tool_calls: [{ index: 0, id: 'c', type: 'custom', custom: {} }] })],
    ['a call of old', choice({ function_call: { name: 'f', arguments: '' } })],
    ['what nobody knows', choice({ x_new: [null], audio: null }, { x_too: 1 })],
  ])('should be true of %s', (_what, given) => {
    expect(isStandard(given)).toBe(true);
  });
});

describe(toStandard, () => {
  it('should take an empty list, as PHP writes an object, for no delta', () => {
    expect(deltaOf([])).toEqual({});
  });

  it("should read the parts of Mistral's content", () => {
    expect(
      deltaOf({
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 'Hm. ' }] },
          { type: 'thinking', thinking: 'So. ' },
          { type: 'text', text: 'Hi' },
          { type: 'reference', reference_ids: [1] },
        ],
      }),
    ).toEqual({ content: 'Hi', reasoning_content: 'Hm. So. ' });
    expect(deltaOf({ content: [{ type: 'text', text: 'Hi' }] })).toEqual({ content: 'Hi' });
    expect(deltaOf({ content: [] })).toEqual({ content: '' });
  });

  it('should leave out a null that the schema does not know', () => {
    const nothing = { role: null, tool_calls: null, function_call: null };
    expect(deltaOf({ content: null, refusal: null, ...nothing })).toEqual({
      content: null,
      refusal: null,
    });
    expect(deltaOf({ role: '', content: 'a' })).toEqual({ content: 'a' });
    const call = { index: 0, id: null, type: null, function: { name: null, arguments: '{' } };
    expect(deltaOf({ tool_calls: [call] })).toEqual({
      tool_calls: [{ index: 0, type: 'function', function: { arguments: '{' } }],
    });
  });

  it('should complete tool calls', () => {
    const calls = [{ id: 'a', function: { name: 'f', arguments: { x: 1 } } }, { function: null }];
    expect(deltaOf({ tool_calls: calls })).toEqual({
      tool_calls: [
        { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } },
        { index: 1, type: 'function' },
      ],
    });
  });

  it('should complete log probabilities', () => {
    const logprobs = { content: [] };
    const given = choice({ content: 'a' }, { logprobs });
    expect(isStandard(given)).toBe(false);
    expect(toStandard(given).logprobs).toEqual({ content: [], refusal: null });
  });

  it.each([
    ['', null],
    ['end_turn', 'stop'],
    ['eos', 'stop'],
    ['stop_sequence', 'stop'],
    ['STOP', 'stop'],
    ['constructor', 'stop'],
    [7, 'stop'],
    ['max_tokens', 'length'],
    ['MAX_TOKENS', 'length'],
    ['model_length', 'length'],
    ['tool_use', 'tool_calls'],
    ['TOOL_CALL', 'tool_calls'],
    ['SAFETY', 'content_filter'],
    ['guardrail_intervened', 'content_filter'],
  ])('should translate the finish reason %j to %j', (finish_reason, expected) => {
    const given = choice({}, { finish_reason });
    expect(isStandard(given)).toBe(false);
    expect(toStandard(given).finish_reason).toBe(expected);
  });

  it.each(['error', 'ERROR_LIMIT', 'network_error', 'abort', 'insufficient_system_resource'])(
    'should not take the finish reason %j for an end',
    (finish_reason) => {
      expect(() => toStandard(choice({}, { finish_reason }))).toThrow(
        expect.objectContaining({ code: 'provider_error' }),
      );
    },
  );
});
