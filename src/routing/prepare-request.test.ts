import { describe, expect, it } from '@jest/globals';
import { EXTENSIONS, type ChatRequest } from '../providers/chat-provider.js';
import { prepareRequest } from './prepare-request.js';

const user = { role: 'user' as const, content: 'hi' };

describe(prepareRequest.name, () => {
  const request = (parameters: object = {}): ChatRequest => ({ messages: [user], ...parameters });

  it('leaves a request alone about which nothing is said', () => {
    const asked = request({ temperature: 1 });
    expect(prepareRequest(asked, {})).toBe(asked);
  });

  describe('puts the system prompt', () => {
    it('in front of a conversation', () => {
      expect(prepareRequest(request(), { systemPrompt: 'Be brief.' }).messages).toEqual([
        { role: 'system', content: 'Be brief.' },
        user,
      ]);
    });

    it.each(['system', 'developer'] as const)('not where there is a %s message', (role) => {
      const asked = request({ messages: [user, { role, content: 'Be kind.' }] });
      expect(prepareRequest(asked, { systemPrompt: 'Be brief.' })).toEqual(asked);
    });

    it('nowhere when it is empty', () => {
      expect(prepareRequest(request(), { systemPrompt: '' })).toEqual(request());
    });
  });

  describe('sets defaults', () => {
    const defaults = { temperature: 0.2, max_tokens: 100 };

    it('where the request says nothing, or null', () => {
      expect(prepareRequest(request({ temperature: null, x_new: 1 }), { defaults })).toEqual(
        request({ ...defaults, x_new: 1 }),
      );
    });

    it('not where it says something, be it by another name', () => {
      const asked = request({ temperature: 0, max_completion_tokens: 5 });
      expect(prepareRequest(asked, { defaults })).toEqual(asked);
    });

    it.each([
      ['a parameter of its own', { think: false }, { reasoning_effort: 'high' }],
      ['an option', { options: { num_predict: -1 } }, { max_tokens: 5 }],
    ])('not where it says so in %s that not every provider knows', (_, extensions, unwanted) => {
      const asked = request({ [EXTENSIONS]: extensions });
      const prepared = prepareRequest(asked, { defaults: unwanted });
      expect(prepared).toEqual(asked);
      expect(prepared[EXTENSIONS]).toEqual(extensions);
    });
  });

  describe('pins parameters', () => {
    const pinned = { max_tokens: 100, temperature: 0 };

    it('whatever the request says, be it by another name', () => {
      const asked = request({ temperature: 1, max_completion_tokens: 9_000, top_p: 1 });
      expect(prepareRequest(asked, { pinned })).toEqual(request({ top_p: 1, ...pinned }));
    });

    it('and not by a default either', () => {
      const defaults = { max_completion_tokens: 7, seed: 1 };
      expect(prepareRequest(request(), { defaults, pinned })).toEqual(
        request({ seed: 1, ...pinned }),
      );
    });

    it('against parameters that not every provider knows', () => {
      const own = {
        think: true,
        keep_alive: 1,
        options: { num_predict: -1, temperature: 2, num_ctx: 8 },
      };
      const asked = request({ options: own.options, [EXTENSIONS]: own });
      const prepared = prepareRequest(asked, { pinned: { ...pinned, reasoning_effort: 'low' } });
      expect(prepared.options).toEqual({ num_ctx: 8 });
      expect(prepared[EXTENSIONS]).toEqual({ keep_alive: 1, options: { num_ctx: 8 } });
    });

    it('never the conversation', () => {
      expect(prepareRequest(request(), { pinned }).messages).toEqual([user]);
    });
  });
});
