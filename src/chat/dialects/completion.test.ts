import { describe, expect, it } from '@jest/globals';
import type { Entry } from '../../runs/entry.js';
import { assembleCompletion } from './completion.js';

describe(assembleCompletion.name, () => {
  it('has the choices in the order of their indexes, however they came', () => {
    const choices = [1, 0].map((index) => ({ index, delta: {}, finish_reason: 'stop' }));
    const chunks = [JSON.stringify({ choices })];
    const entry: Entry = { seq: 1, type: 'message', data: { content: '' }, chunks };
    expect(assembleCompletion([entry]).choices.map(({ index }) => index)).toEqual([0, 1]);
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
