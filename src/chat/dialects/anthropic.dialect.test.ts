import { describe, expect, it } from '@jest/globals';
import { ChatError } from '../../errors/chat-error.js';
import type { Draft, Entry, Usage } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';
import { anthropicDialect } from './anthropic.dialect.js';
import { wholeMessage } from '../anthropic/whole-message.js';

const USAGE: Usage = {
  prompt_tokens: 9,
  completion_tokens: 5,
  total_tokens: 14,
  prompt_tokens_details: { cached_tokens: 4 },
  source: 'provider',
};

const start: Draft = { type: 'start', data: { id: 'run_7f', model: 'demo/echo', created: 1 } };
const say = (content: string): Draft => ({ type: 'message', data: { content } });
const think = (content: string): Draft => ({ type: 'reasoning', data: { content } });
const refuse = (content: string): Draft => ({ type: 'refusal', data: { content } });
const done = (finish_reason = 'stop'): Draft => ({
  type: 'done',
  data: { finish_reason, model: 'demo/echo', usage: USAGE },
});
const call = (index: number, json: string, head: { id?: string; name?: string } = {}): Draft => ({
  type: 'tool_call',
  data: { index, ...head, arguments: json },
});
const failed = (error: ChatError): Draft => {
  const { code, message, retryable } = error;
  return { type: 'error', data: { code, message, retryable, usage: USAGE }, error };
};

const numbered = (drafts: Draft[]): Entry[] =>
  drafts.map((draft, at) => ({ ...draft, seq: at + 1 }));

const runOf = (drafts: Draft[]) =>
  ({ id: 'run_7f', log: { entries: numbered(drafts) } }) as unknown as Run;

/** The stream, an event in a string. */
function encoded(drafts: Draft[], isResumable = false): string[] {
  const run = runOf([start, ...drafts]);
  const encoder = anthropicDialect({ isResumable }).open(run);
  const bytes = run.log.entries.map((entry) => encoder.encode(entry)).join('');
  return bytes.split(/(?<=\n\n)/).slice(1);
}

const frame = (event: { type: string } & Record<string, unknown>) =>
  `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
const opened = (index: number, content_block: object) =>
  frame({ type: 'content_block_start', index, content_block });
const delta = (index: number, piece: object) =>
  frame({ type: 'content_block_delta', index, delta: piece });
const closed = (index: number) => frame({ type: 'content_block_stop', index });
const text = (index: number, piece: string) => delta(index, { type: 'text_delta', text: piece });
const json = (index: number, partial_json: string) =>
  delta(index, { type: 'input_json_delta', partial_json });
const usage = {
  input_tokens: 5,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 4,
  output_tokens: 5,
};
const ended = (stop_reason: string) => [
  frame({ type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage }),
  'event: message_stop\ndata: {"type":"message_stop"}\n\n',
];

const TEXT = { type: 'text', text: '' };
const THINKING = { type: 'thinking', thinking: '', signature: '' };
const tool = (id: string, name: string) => ({ type: 'tool_use', id, name, input: {} });

describe(anthropicDialect.name, () => {
  it('keeps the half of a character back until its other half has come', () => {
    const drafts = [
      think('Hm\ud83d'),
      think('\ude00'),
      say('\ud83d'),
      say('\ude00b'),
      call(0, '{"x":"\ud83d', { id: 'a', name: 'f' }),
      call(0, '\ude00"}'),
      done(),
    ];
    expect(encoded(drafts)).toEqual([
      opened(0, THINKING),
      delta(0, { type: 'thinking_delta', thinking: 'Hm' }),
      delta(0, { type: 'thinking_delta', thinking: '😀' }),
      closed(0),
      opened(1, TEXT),
      text(1, '😀b'),
      closed(1),
      opened(2, tool('a', 'f')),
      json(2, '{"x":"'),
      json(2, '😀"}'),
      closed(2),
      ...ended('tool_use'),
    ]);
  });

  it('writes a text, byte for byte', () => {
    const run = runOf([start, say('Hello'), say(' 👋\n'), done()]);
    const encoder = anthropicDialect({ isResumable: false }).open(run);
    expect(run.log.entries.map((entry) => encoder.encode(entry)).join('')).toBe(`\
event: message_start
data: {"type":"message_start","message":{"id":"msg_7f","type":"message","role":"assistant","model":"demo/echo","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" 👋\\n"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":5}}

event: message_stop
data: {"type":"message_stop"}

`);
    expect(encoder.heartbeat).toBe('event: ping\ndata: {"type":"ping"}\n\n');
  });

  it('gives reasoning, text and a call a block each, one after the other', () => {
    const call1 = [call(0, '', { id: 'call_1', name: 'f' }), call(0, '{"a"'), call(0, ':1}')];
    expect(encoded([think('Hm'), think('.'), say('So'), ...call1, done('tool_calls')])).toEqual([
      opened(0, THINKING),
      delta(0, { type: 'thinking_delta', thinking: 'Hm' }),
      delta(0, { type: 'thinking_delta', thinking: '.' }),
      closed(0),
      opened(1, TEXT),
      text(1, 'So'),
      closed(1),
      opened(2, tool('call_1', 'f')),
      json(2, '{"a"'),
      json(2, ':1}'),
      closed(2),
      ...ended('tool_use'),
    ]);
  });

  it('streams calls that come one after the other', () => {
    const calls = [call(0, '{}', { id: 'a', name: 'f' }), call(1, '[', { id: 'b', name: 'g' })];
    expect(encoded([...calls, call(1, ']'), done('tool_calls')])).toEqual([
      opened(0, tool('a', 'f')),
      json(0, '{}'),
      closed(0),
      opened(1, tool('b', 'g')),
      json(1, '['),
      json(1, ']'),
      closed(1),
      ...ended('tool_use'),
    ]);
  });

  it('opens a call once, whatever empty pieces come behind it', () => {
    const calls = [call(0, '{}', { id: 'a', name: 'f' }), call(1, '{}', { id: 'b', name: 'g' })];
    const usual = encoded([...calls, done('tool_calls')]);
    expect(encoded([...calls, call(0, ''), call(0, '\n'), done('tool_calls')])).toEqual(usual);
    expect(encoded([...calls, call(1, ''), call(0, ''), done('tool_calls')])).toEqual(usual);
  });

  it('puts calls that take turns one after the other', () => {
    const entries = [
      call(0, '', { id: 'a', name: 'f' }),
      call(1, '', { id: 'b', name: 'g' }),
      call(2, '{}', { name: 'h' }),
      call(0, '{"x":'),
      call(1, '{"y":'),
      call(0, '1}'),
      call(1, '2'),
      call(1, '}'),
    ];
    const blocks = [
      opened(0, tool('a', 'f')),
      json(0, '{"x":'),
      json(0, '1}'),
      closed(0),
      opened(1, tool('b', 'g')),
      json(1, '{"y":2'),
      json(1, '}'),
      closed(1),
      opened(2, tool('toolu_7f_2', 'h')),
      json(2, '{}'),
      closed(2),
    ];
    expect(encoded([...entries, done('tool_calls')])).toEqual([...blocks, ...ended('tool_use')]);
    expect(encoded([...entries, say('Wait.'), done('tool_calls')])).toEqual([
      ...blocks,
      opened(3, TEXT),
      text(3, 'Wait.'),
      closed(3),
      ...ended('tool_use'),
    ]);
  });

  it.each([
    ['stop', 'end_turn'],
    ['length', 'max_tokens'],
    ['content_filter', 'refusal'],
    ['function_call', 'tool_use'],
    ['something new', 'end_turn'],
  ])('ends an answer that finished with %s as %s', (finishReason, stopReason) => {
    expect(encoded([done(finishReason)])).toEqual(ended(stopReason));
  });

  it('tells a refusal as text, and a call, which their providers may end with stop', () => {
    const said = [opened(0, TEXT), text(0, 'No'), text(0, '.'), closed(0)];
    expect(encoded([refuse('No'), refuse('.'), done()])).toEqual([...said, ...ended('refusal')]);
    expect(encoded([call(0, '{}', { id: 'a', name: 'f' }), done()]).slice(-2)).toEqual(
      ended('tool_use'),
    );
  });

  it.each<[ChatError, string]>([
    [new ChatError('provider_truncated', 'Cut.'), 'api_error'],
    [new ChatError('provider_rate_limited', 'Slow down.'), 'rate_limit_error'],
    [new ChatError('timeout_idle', 'Silence.'), 'timeout_error'],
    [new ChatError('shutting_down', 'Bye.'), 'overloaded_error'],
    [new ChatError('provider_rejected', 'Bad.', { status: 413 }), 'request_too_large'],
    [new ChatError('provider_rejected', 'Bad.', { status: 422 }), 'invalid_request_error'],
  ])('ends with an error event (%s: %s)', (error, type) => {
    const details = { error_code: error.code };
    expect(encoded([say('a'), failed(error)])).toEqual([
      opened(0, TEXT),
      text(0, 'a'),
      frame({ type: 'error', error: { type, message: error.message, details } }),
    ]);
  });

  it('ends a run that was stopped with an error event too', () => {
    const details = { error_code: 'cancelled' };
    const error = { type: 'conflict_error', message: 'The run was cancelled.', details };
    expect(encoded([{ type: 'cancelled', data: { usage: USAGE } }])).toEqual([
      frame({ type: 'error', error }),
    ]);
  });

  it('gives each event an id, which after the last of an entry is that of the entry', () => {
    const calls = [call(0, '', { id: 'a', name: 'f' }), call(1, '{}', { id: 'b', name: 'g' })];
    const frames = encoded([say('a'), ...calls, done('tool_calls')], true);
    const ids = frames.map((event) => /^id: (.*)$/m.exec(event)?.[1]);
    expect(ids).toEqual([
      ...['run_7f:1.1', 'run_7f:2', 'run_7f:2.1', 'run_7f:3'],
      ...['run_7f:4.1', 'run_7f:4.2', 'run_7f:4.3', 'run_7f:4.4', 'run_7f:4.5', 'run_7f:5'],
    ]);
    expect(frames[1]).toBe(`id: run_7f:2\n${text(0, 'a')}`);
  });
});

describe(wholeMessage.name, () => {
  it('has all that the stream has', () => {
    const entries = [
      think('Hm'),
      think('.'),
      say('Let '),
      say('me.'),
      call(0, '', { id: 'a', name: 'f' }),
      call(1, '', { id: 'b', name: 'g' }),
      call(0, '{"x":1}'),
    ];
    expect(wholeMessage(runOf([start, ...entries, done('tool_calls')]))).toEqual({
      id: 'msg_7f',
      type: 'message',
      role: 'assistant',
      model: 'demo/echo',
      content: [
        { type: 'thinking', thinking: 'Hm.', signature: '' },
        { type: 'text', text: 'Let me.' },
        { type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } },
        { type: 'tool_use', id: 'b', name: 'g', input: {} },
      ],
      stop_reason: 'tool_use',
      stop_sequence: null,
      usage,
    });
  });

  it('has no input for a call that the limit of tokens cut, and fails for another', () => {
    const cut = call(0, '{"x":', { id: 'a', name: 'f' });
    const { content } = wholeMessage(runOf([start, cut, done('length')]));
    expect(content).toEqual([tool('a', 'f')]);
    expect(() => wholeMessage(runOf([start, cut, done('tool_calls')]))).toThrow(ChatError);
  });
});
