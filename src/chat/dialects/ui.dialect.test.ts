import { describe, expect, it } from '@jest/globals';
import { ChatError } from '../../errors/chat-error.js';
import type { Draft, Usage } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';
import { uiDialect } from './ui.dialect.js';

const run = { id: 'run_1' } as Run;

const USAGE: Usage = {
  prompt_tokens: 9,
  completion_tokens: 2,
  total_tokens: 11,
  completion_tokens_details: { reasoning_tokens: 1 },
  source: 'provider',
};

const START: Draft = {
  type: 'start',
  data: { id: 'run_1', model: 'demo/echo', created: 1_790_000_000 },
};

function say(content: string, type: 'message' | 'reasoning' | 'refusal' = 'message'): Draft {
  return { type, data: { content } };
}

function call(index: number, json: string, names: { id?: string; name?: string } = {}): Draft {
  return { type: 'tool_call', data: { index, ...names, arguments: json } };
}

function done(finish_reason = 'stop'): Draft {
  return { type: 'done', data: { finish_reason, model: 'demo/echo', usage: USAGE } };
}

function encode(drafts: Draft[], messageId?: string): string {
  const encoder = uiDialect(messageId).open(run);
  return drafts.map((draft, at) => encoder.encode({ ...draft, seq: at + 1 })).join('');
}

/** The parts behind `start` and `start-step`, without `[DONE]`. */
function partsOf(...drafts: Draft[]): Record<string, unknown>[] {
  return encode(drafts)
    .split('\n\n')
    .filter((frame) => frame.startsWith('data: {'))
    .map((frame) => JSON.parse(frame.slice('data: '.length)) as Record<string, unknown>);
}

describe(uiDialect.name, () => {
  it('writes a message of one step, byte for byte', () => {
    expect(encode([START, say('Hello'), say(',\n"you" 🎉'), done()])).toBe(
      `data: {"type":"start","messageId":"run_1","messageMetadata":{"runId":"run_1","model":"demo/echo"}}

data: {"type":"start-step"}

data: {"type":"text-start","id":"text-1"}

data: {"type":"text-delta","id":"text-1","delta":"Hello"}

data: {"type":"text-delta","id":"text-1","delta":",\\n\\"you\\" 🎉"}

data: {"type":"text-end","id":"text-1"}

data: {"type":"finish-step"}

data: {"type":"finish","finishReason":"stop","messageMetadata":{"usage":{"inputTokens":9,"outputTokens":2,"totalTokens":11,"reasoningTokens":1,"source":"provider"}}}

data: [DONE]

`,
    );
  });

  it('has the message go on that the page named', () => {
    expect(encode([START], 'msg-7')).toContain('{"type":"start","messageId":"msg-7",');
  });

  it('closes a block before the next kind opens, and shows a refusal as text', () => {
    const parts = partsOf(
      say('Hm', 'reasoning'),
      say('Yes'),
      say('Hm', 'reasoning'),
      say('No', 'refusal'),
    );
    expect(parts.map(({ type, id }) => `${String(type)} ${String(id)}`)).toEqual([
      'reasoning-start reasoning-1',
      'reasoning-delta reasoning-1',
      'reasoning-end reasoning-1',
      'text-start text-2',
      'text-delta text-2',
      'text-end text-2',
      'reasoning-start reasoning-3',
      'reasoning-delta reasoning-3',
      'reasoning-end reasoning-3',
      'text-start text-4',
      'text-delta text-4',
    ]);
  });

  it('makes interleaved tool calls available once the run came to a good end', () => {
    const parts = partsOf(
      say('So'),
      call(0, '', { id: 'call_a', name: 'f' }),
      call(1, '', { id: 'call_b', name: 'g' }),
      call(0, '{"x"'),
      call(1, '{}'),
      call(0, ':1}'),
      done('tool_calls'),
    );
    expect(parts.slice(2)).toEqual([
      { type: 'text-end', id: 'text-1' },
      { type: 'tool-input-start', toolCallId: 'call_a', toolName: 'f' },
      { type: 'tool-input-start', toolCallId: 'call_b', toolName: 'g' },
      { type: 'tool-input-delta', toolCallId: 'call_a', inputTextDelta: '{"x"' },
      { type: 'tool-input-delta', toolCallId: 'call_b', inputTextDelta: '{}' },
      { type: 'tool-input-delta', toolCallId: 'call_a', inputTextDelta: ':1}' },
      { type: 'tool-input-available', toolCallId: 'call_a', toolName: 'f', input: { x: 1 } },
      { type: 'tool-input-available', toolCallId: 'call_b', toolName: 'g', input: {} },
      { type: 'finish-step' },
      expect.objectContaining({ type: 'finish', finishReason: 'tool-calls' }),
    ]);
  });

  it('starts a tool call when it learns its name, under an id of its own where it has none', () => {
    expect(partsOf(call(0, '{"x"'), call(0, ':1}', { name: 'f' }))).toEqual([
      { type: 'tool-input-start', toolCallId: 'run_1-0', toolName: 'f' },
      { type: 'tool-input-delta', toolCallId: 'run_1-0', inputTextDelta: '{"x":1}' },
    ]);
  });

  it('takes no arguments for an empty object, and says of others that they are not JSON', () => {
    const parts = partsOf(
      call(0, '', { id: 'call_a', name: 'f' }),
      call(1, '{"x', { id: 'call_b', name: 'g' }),
      done('length'),
    );
    expect(parts.slice(3, 5)).toEqual([
      { type: 'tool-input-available', toolCallId: 'call_a', toolName: 'f', input: {} },
      {
        type: 'tool-input-error',
        toolCallId: 'call_b',
        toolName: 'g',
        input: '{"x',
        errorText: 'The model called g with arguments that are not JSON.',
      },
    ]);
  });

  it.each([
    ['stop', 'stop'],
    ['length', 'length'],
    ['content_filter', 'content-filter'],
    ['tool_calls', 'tool-calls'],
    ['function_call', 'tool-calls'],
    ['eos', 'other'],
  ])('calls the finish reason %s %s', (reason, name) => {
    expect(partsOf(done(reason)).at(-1)).toMatchObject({ finishReason: name });
  });

  it('ends with an error, and no [DONE], where the run failed', () => {
    const error = new ChatError('provider_truncated', 'The provider ended its answer early.');
    const data = { code: error.code, message: error.message, retryable: true, usage: null };
    expect(encode([{ type: 'error', data, error }])).toBe(
      'data: {"type":"error","errorText":"The provider ended its answer early."}\n\n',
    );
  });

  it('ends with an abort, and no call of a tool, where the run was stopped', () => {
    const cancelled: Draft = { type: 'cancelled', data: { usage: null } };
    expect(encode([call(0, '{}', { id: 'call_a', name: 'f' }), cancelled])).toBe(
      `data: {"type":"tool-input-start","toolCallId":"call_a","toolName":"f"}

data: {"type":"tool-input-delta","toolCallId":"call_a","inputTextDelta":"{}"}

data: {"type":"abort","reason":"The run was cancelled."}

`,
    );
  });
});
