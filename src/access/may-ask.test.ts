import { describe, expect, it } from '@jest/globals';
import { mayAsk } from './may-ask.js';

describe(mayAsk.name, () => {
  it.each([
    ['gpt-4o', ['gpt-4o'], true],
    ['gpt-4o', ['gpt-4'], false],
    ['gpt-4', ['gpt-4o'], false],
    ['gpt-4o', ['fast', 'gpt-*'], true],
    ['gpt-', ['gpt-*'], true],
    ['my-gpt-4o', ['gpt-*'], false],
    ['openai/gpt-4o', ['openai/*'], true],
    ['openai', ['openai/*'], false],
    ['ft:gpt-4o:acme', ['*gpt*acme'], true],
    ['ft:acme:gpt-4o', ['*gpt*acme'], false],
    // What one part took is no other's.
    ['aba', ['ab*ba'], false],
    ['abba', ['ab*ba'], true],
    ['abab', ['*ab*ab'], true],
    ['ab', ['*ab*ab'], false],
    ['a.c', ['a.c'], true],
    ['abc', ['a.c'], false],
    ['', ['*'], true],
    ['anything', ['*'], true],
    ['anything', [], false],
    ['anything', undefined, true],
  ])('%j by %j: %s', (model, models, expected) => {
    expect(mayAsk({ models }, model)).toBe(expected);
  });

  it('is quick about a pattern of many parts', () => {
    const models = [`${'*a'.repeat(100)}*b`];
    const startedAt = performance.now();
    expect(mayAsk({ models }, 'a'.repeat(10_000))).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(100);
  });
});
