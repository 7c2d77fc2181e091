import { describe, expect, it } from '@jest/globals';
import { EXTENSIONS, type ChatRequest } from '../providers/chat-provider.js';
import { DEFAULT_COMPLETION_TOKENS, estimateTokens } from './token-estimate.js';

/** Of a request with one message of nothing: its role, and what the format adds. */
const EMPTY = 8;

function request(rest: object, message: object = {}): ChatRequest {
  return { messages: [{ role: 'user', content: '', ...message }], ...rest };
}

describe(estimateTokens.name, () => {
  it.each<[object, number]>([
    [{}, DEFAULT_COMPLETION_TOKENS],
    [{ max_tokens: null }, DEFAULT_COMPLETION_TOKENS],
    [{ max_tokens: 5 }, 5],
    [{ max_tokens: -1 }, DEFAULT_COMPLETION_TOKENS],
    [{ max_tokens: '5' }, DEFAULT_COMPLETION_TOKENS],
    [{ max_tokens: 5, n: 3 }, 15],
    [{ max_completion_tokens: 1, max_tokens: 9_000 }, 9_000],
    [{ max_tokens: 5, options: { num_predict: 7 } }, 7],
    [{ max_tokens: 5, options: { num_predict: -1 } }, DEFAULT_COMPLETION_TOKENS],
    [{ max_tokens: 5, [EXTENSIONS]: { options: { num_predict: 7 } } }, 7],
    [{ max_tokens: Number.MAX_SAFE_INTEGER, n: 128 }, 2 ** 40 - EMPTY],
  ])('should take the answer to %j for %i tokens', (rest, expected) => {
    expect(estimateTokens(request(rest))).toBe(EMPTY + expected);
  });

  const text = 'x'.repeat(40_000);

  it.each<[string, object, number]>([
    ['an image', { content: [{ type: 'image_url', image_url: { url: text } }] }, 1_000],
    ['a document', { content: [{ type: 'document_url', document_url: text }] }, 1_000],
    ['a part of any type', { content: [{ type: 'scan', scan: `data:a/b;base64,${text}` }] }, 1_000],
    [
      'a document in base64',
      { content: [{ type: 'document', source: { type: 'base64', data: text } }] },
      1_000,
    ],
    [
      'a document that is a text',
      { content: [{ type: 'document', source: { type: 'text', data: text } }] },
      10_003,
    ],
    ['a text', { content: [{ type: 'text', text }] }, 10_001],
    ['a refusal', { content: [{ type: 'refusal', refusal: text }] }, 10_001],
    ['a message that says it is an image', { type: 'image_url', content: text }, 10_002],
    [
      'a call of a custom tool',
      { tool_calls: [{ type: 'custom', custom: { input: text } }] },
      10_001,
    ],
  ])('should take %s for what it may be worth', (_, message, expected) => {
    const tokens = estimateTokens(request({ max_tokens: 1 }, message));
    expect(Math.abs(tokens - EMPTY - expected)).toBeLessThan(5);
  });
});
