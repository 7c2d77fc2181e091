import { describe, expect, it } from '@jest/globals';
import type { Entry } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';
import { plainDialect } from './plain.dialect.js';

const message = (content: string): Entry => ({ type: 'message', data: { content }, seq: 2 });

describe('the plain dialect', () => {
  it('keeps the half of a character back until its other half has come', () => {
    const encoder = plainDialect.open({} as Run);
    expect(encoder.encode(message('a\ud83d'))).toBe('a');
    expect(encoder.encode(message('\ude00b'))).toBe('😀b');
    expect(encoder.encode(message('c'))).toBe('c');
  });
});
