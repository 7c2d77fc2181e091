import { describe, expect, it } from '@jest/globals';
import type { Entry } from '../../runs/entry.js';
import { assembleCompletion } from './completion.js';

const HEAD = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm' } as const;

describe(assembleCompletion.name, () => {
  it('has the choices in the order of their indexes, however they came', () => {
    const choices = [1, 0].map((index) => ({ index, delta: {}, finish_reason: 'stop' }));
    const chunks = [JSON.stringify({ choices })];
    const entry: Entry = { seq: 1, type: 'message', data: { content: '' }, chunks };
    expect(assembleCompletion([entry]).choices.map(({ index }) => index)).toEqual([0, 1]);
  });

  it('joins the pieces of a message, and has the newest of what is beside them', () => {
    const chunk = (content: string) =>
      JSON.stringify({
        choices: [
          {
            index: 0,
            delta: {
              content,
              reasoning_details: [{ index: 0, format: 'v1', text: content }],
              index: 0,
            },
            native_finish_reason: 'end_turn',
            content_filter_results: { hate: { filtered: false, severity: 'safe' } },
          },
        ],
      });
    const entries: Entry[] = [
      { seq: 1, type: 'message', data: { content: 'a' }, chunks: [chunk('a'), chunk('b')] },
      {
        seq: 2,
        type: 'done',
        data: { finish_reason: 'stop', model: 'm', usage: null },
        usageChunk: { ...HEAD, choices: [], ...{ timings: { predicted_ms: 5 } } },
      },
    ];
    expect(assembleCompletion(entries)).toEqual({
      ...HEAD,
      object: 'chat.completion',
      timings: { predicted_ms: 5 },
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'ab',
            refusal: null,
            reasoning_details: [{ index: 0, format: 'v1', text: 'ab' }],
          },
          logprobs: null,
          native_finish_reason: 'end_turn',
          content_filter_results: { hate: { filtered: false, severity: 'safe' } },
        },
      ],
    });
  });

  it.each(['{"constructor":{"prototype":{"reached":"yes"}}}', '{"__proto__":{"reached":"yes"}}'])(
    'lets a delta of %s reach no other object',
    (delta) => {
      const chunks = [`{"choices":[{"index":0,"delta":${delta},"finish_reason":null}]}`];
      const entry: Entry = { seq: 1, type: 'message', data: { content: '' }, chunks };
      assembleCompletion([entry]);
      expect({}).not.toHaveProperty('reached');
    },
  );
});
