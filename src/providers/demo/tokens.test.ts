import { describe, expect, it } from '@jest/globals';
import { tokensOf } from './tokens.js';

describe(tokensOf.name, () => {
  it('cuts before the spaces, long words, and scripts that have no spaces', () => {
    expect([...tokensOf('Hello brave  new\nworld ')]).toEqual([
      'Hello',
      ' brave',
      '  new',
      '\nworld',
      ' ',
    ]);
    expect([...tokensOf('internationalization')]).toEqual(['internationa', 'lization']);
    expect([...tokensOf('やっほ!')]).toEqual(['やっ', 'ほ', '!']);
  });

  it.each(['', '   ', ' a\r\n\tb  ', '日本語 and 👩‍👩‍👧\u2028\0', 'lone \ud800 surrogate\udc00'])(
    'loses nothing of %j',
    (text) => {
      expect([...tokensOf(text)].join('')).toBe(text);
    },
  );
});
