import { describe, expect, it } from '@jest/globals';
import type { Usage } from '../../runs/entry.js';
import { messageUsage } from './message.js';

const usage = (cached_tokens: unknown) =>
  ({
    prompt_tokens: 5,
    completion_tokens: 2,
    total_tokens: 7,
    prompt_tokens_details: { cached_tokens },
    source: 'provider',
  }) as Usage;

describe(messageUsage.name, () => {
  it.each([
    ['a cache', 3, 2, 3],
    ['a cache that had more than there was', 9, 0, 9],
    ['a cache that had what is no number', 'all', 5, 0],
  ])('should count the tokens of %s', (_, cached, input, read) => {
    expect(messageUsage(usage(cached))).toEqual({
      input_tokens: input,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: read,
      output_tokens: 2,
    });
  });
});
