import { describe, expect, it, jest } from '@jest/globals';
import type { LookupFunction } from 'node:net';
import { sharedLookup } from './lookup.js';

describe(sharedLookup.name, () => {
  it('should ask once for a name at a time, and anew when it was answered', () => {
    const ask = jest.fn<LookupFunction>();
    const sut = sharedLookup(ask);
    const answers = [1, 2, 3].map(() => jest.fn());
    const found = [{ address: '192.0.2.1', family: 4 }];
    sut('one.invalid', { all: true }, answers[0]!);
    sut('one.invalid', { all: true }, answers[1]!);
    sut('two.invalid', { all: true }, answers[2]!);
    expect(ask.mock.calls.map(([host]) => host)).toEqual(['one.invalid', 'two.invalid']);

    ask.mock.calls[0]![2](null, found);
    for (const answer of answers.slice(0, 2)) expect(answer).toHaveBeenCalledWith(null, found);
    expect(answers[2]).not.toHaveBeenCalled();

    sut('one.invalid', { all: true }, answers[0]!);
    expect(ask).toHaveBeenCalledTimes(3);
  });

  it('should tell all of a failure', () => {
    const ask = jest.fn<LookupFunction>();
    const sut = sharedLookup(ask);
    const answers = [jest.fn(), jest.fn()];
    for (const answer of answers) sut('one.invalid', { all: true }, answer);
    const error = new Error('no such name');
    ask.mock.calls[0]![2](error, []);
    for (const answer of answers) expect(answer).toHaveBeenCalledWith(error, []);
  });
});
