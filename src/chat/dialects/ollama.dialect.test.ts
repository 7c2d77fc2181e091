import { describe, expect, it } from '@jest/globals';
import { ChatError } from '../../errors/chat-error.js';
import type { Draft } from '../../runs/entry.js';
import { RunLog } from '../../runs/run-log.js';
import type { Run, RunState } from '../../runs/run.js';
import { ollamaDialect, wholeAnswer, type OllamaOptions } from './ollama.dialect.js';

const STATE = {
  model: 'llama3.2',
  target: 'openai/gpt-4o-mini',
  created_at: '2026-01-01T00:00:00.000Z',
  started_at: '2026-01-01T00:00:00.002Z',
  first_token_at: '2026-01-01T00:00:00.300Z',
  ended_at: '2026-01-01T00:00:01.300Z',
};

const START: Draft = { type: 'start', data: { id: 'run_1', model: 'm', created: 1 } };
const DONE = done('stop');

const LINE = '{"model":"llama3.2","created_at":"2026-01-01T00:00:00.000Z",';
const TIMES = [
  '"total_duration":1300000000,"load_duration":2000000,',
  '"prompt_eval_count":9,"prompt_eval_duration":298000000,',
  '"eval_count":2,"eval_duration":1000000000}\n',
].join('');

function done(finish_reason: string): Draft {
  const usage = { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 };
  return {
    type: 'done',
    data: { finish_reason, model: 'm', usage: { ...usage, source: 'provider' } },
  };
}

function say(content: string): Draft {
  return { type: 'message', data: { content } };
}

function call(index: number, json: string, name?: string): Draft {
  return {
    type: 'tool_call',
    data: { index, ...(name && { id: `call_${index}`, name }), arguments: json },
  };
}

function runOf(drafts: Draft[], state: Partial<RunState> = {}): Run {
  const log = new RunLog();
  for (const draft of [START, ...drafts]) log.next({ ...draft });
  return { log, state: { ...STATE, ...state } } as Run;
}

function encode(drafts: Draft[], options: OllamaOptions = { route: 'chat' }, state = {}): string {
  const run = runOf(drafts, state);
  const encoder = ollamaDialect(options).open(run);
  return run.log.entries.map((entry) => encoder.encode(entry)).join('');
}

describe(ollamaDialect.name, () => {
  it('writes a message a line, and the counts and durations in nanoseconds on the last', () => {
    expect(encode([say('Hel'), say('lo\n'), DONE])).toBe(
      `${LINE}"message":{"role":"assistant","content":"Hel"},"done":false}\n` +
        `${LINE}"message":{"role":"assistant","content":"lo\\n"},"done":false}\n` +
        `${LINE}"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",${TIMES}`,
    );
  });

  it('escapes what only Python takes for the end of a line', () => {
    const content = 'NEL\u0085LS\u2028PS\u2029';
    const error = new ChatError('provider_error', content);
    const data = { code: error.code, message: content, retryable: true, usage: null };
    const text = encode([say(content), { type: 'error', data, error }]);
    expect(text).not.toMatch(/[\u0085\u2028\u2029]/);
    const lines = text.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({ message: { role: 'assistant', content } }),
      { error: content },
    ]);
  });

  it('keeps the half of a character back until its other half has come', () => {
    const think = (content: string): Draft => ({ type: 'reasoning', data: { content } });
    const drafts = [think('\ud83d'), say('a\ud83d'), think('\ude00'), say('\ude00b'), DONE];
    const lines = encode(drafts).trim().split('\n').slice(0, -1);
    expect(lines.map((line) => (JSON.parse(line) as { message: object }).message)).toEqual([
      { role: 'assistant', content: 'a' },
      { role: 'assistant', content: '', thinking: '😀' },
      { role: 'assistant', content: '😀b' },
    ]);
  });

  it('writes what follows a prompt', () => {
    expect(encode([say('Hello'), DONE], { route: 'generate' })).toBe(
      `${LINE}"response":"Hello","done":false}\n` +
        `${LINE}"response":"","done":true,"done_reason":"stop",${TIMES}`,
    );
  });

  it('writes thinking beside the content, and a refusal as content', () => {
    const drafts: Draft[] = [
      { type: 'reasoning', data: { content: 'Hm.' } },
      { type: 'refusal', data: { content: 'No.' } },
    ];
    expect(encode(drafts)).toBe(
      `${LINE}"message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}\n` +
        `${LINE}"message":{"role":"assistant","content":"No."},"done":false}\n`,
    );
    expect(encode(drafts.slice(0, 1), { route: 'generate' })).toBe(
      `${LINE}"response":"","thinking":"Hm.","done":false}\n`,
    );
  });

  it('writes tool calls whole, with objects for arguments, before the end', () => {
    const text = encode([
      call(0, '', 'weather'),
      call(1, '', 'time'),
      call(0, '{"city":'),
      call(0, '"Zürich"}'),
      done('tool_calls'),
    ]);
    expect(text).toBe(
      `${LINE}"message":{"role":"assistant","content":"","tool_calls":[` +
        '{"id":"call_0","function":{"index":0,"name":"weather","arguments":{"city":"Zürich"}}},' +
        '{"id":"call_1","function":{"index":1,"name":"time","arguments":{}}}]},"done":false}\n' +
        `${LINE}"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",${TIMES}`,
    );
  });

  it.each(['{"city":"Zü', '[]', '7'])('fails where a tool is called with %p', (json) => {
    const message = 'The model called a tool with what is no JSON object.';
    const drafts = [call(0, json, 'weather'), done('length')];
    expect(encode(drafts)).toBe(`{"error":"${message}"}\n`);
    expect(() => wholeAnswer(runOf(drafts), { route: 'chat' })).toThrow(message);
  });

  it.each(['length', 'content_filter'])('passes the reason %p on', (reason) => {
    expect(encode([done(reason)])).toContain(`"done":true,"done_reason":"${reason}",`);
  });

  it('writes a failure and a stop as a string', () => {
    const error = new ChatError('provider_truncated', 'The provider "ended" early.');
    const { code, message, retryable } = error;
    const failed: Draft = { type: 'error', data: { code, message, retryable, usage: null }, error };
    expect(encode([failed])).toBe('{"error":"The provider \\"ended\\" early."}\n');
    expect(encode([{ type: 'cancelled', data: { usage: null } }])).toBe(
      '{"error":"The run was cancelled."}\n',
    );
  });

  it('breaks a silence with a line that says nothing', () => {
    expect(ollamaDialect({ route: 'chat' }).open(runOf([])).heartbeat).toBe(
      `${LINE}"message":{"role":"assistant","content":""},"done":false}\n`,
    );
  });

  it('calls the model what the client does, or else the target', () => {
    const named = encode([say('a')], { route: 'chat', model: 'llama3.2:latest' });
    expect(JSON.parse(named)).toMatchObject({ model: 'llama3.2:latest' });
    expect(JSON.parse(encode([say('a')], { route: 'chat' }, { model: null }))).toMatchObject({
      model: 'openai/gpt-4o-mini',
    });
  });

  it('has no duration that is divided by zero, and no counts where there are none', () => {
    const times = { started_at: null, first_token_at: null, ended_at: STATE.created_at };
    const uncounted: Draft = {
      type: 'done',
      data: { finish_reason: 'stop', model: 'm', usage: null },
    };
    const line = JSON.parse(encode([uncounted], { route: 'generate' }, times)) as object;
    expect(line).toMatchObject({
      total_duration: 0,
      prompt_eval_duration: 1e6,
      eval_duration: 1e6,
    });
    expect(line).not.toHaveProperty('eval_count');
  });
});

describe(wholeAnswer.name, () => {
  it('is what a stream would have said, in one object', () => {
    const run = runOf([
      { type: 'reasoning', data: { content: 'Hm, ' } },
      { type: 'reasoning', data: { content: 'hm.' } },
      say('Hel'),
      say('lo'),
      call(0, '{"city":"Zürich"}', 'weather'),
      done('tool_calls'),
    ]);
    expect(`${JSON.stringify(wholeAnswer(run, { route: 'chat', model: 'llama3.2' }))}\n`).toBe(
      `${LINE}"message":{"role":"assistant","content":"Hello","thinking":"Hm, hm.","tool_calls":[` +
        '{"id":"call_0","function":{"index":0,"name":"weather","arguments":{"city":"Zürich"}}}]},' +
        `"done":true,"done_reason":"stop",${TIMES}`,
    );
  });

  it('ends in no half of a character', () => {
    const run = runOf([say('a\ud83d'), say('\ude00b\ud83d'), done('length')]);
    expect(wholeAnswer(run, { route: 'chat' })).toMatchObject({ message: { content: 'a😀b' } });
  });

  it('is what follows a prompt', () => {
    const run = runOf([say('Hello'), DONE]);
    expect(`${JSON.stringify(wholeAnswer(run, { route: 'generate' }))}\n`).toBe(
      `${LINE}"response":"Hello","done":true,"done_reason":"stop",${TIMES}`,
    );
  });
});
