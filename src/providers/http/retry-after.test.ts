import { describe, expect, it } from '@jest/globals';
import { retryAfterMs } from './retry-after.js';

const NOW = Date.UTC(2026, 0, 1, 12, 0, 0);

function read(headers: Record<string, string>) {
  return retryAfterMs((name) => headers[name], NOW);
}

describe(retryAfterMs.name, () => {
  it('reads seconds, whole or not', () => {
    expect(read({ 'retry-after': '7' })).toBe(7_000);
    expect(read({ 'retry-after': '0.5' })).toBe(500);
    expect(read({ 'retry-after': '0' })).toBe(0);
  });

  it('reads a date, and one in the past as no wait', () => {
    expect(read({ 'retry-after': 'Thu, 01 Jan 2026 12:00:30 GMT' })).toBe(30_000);
    expect(read({ 'retry-after': 'Thu, 01 Jan 2026 11:00:00 GMT' })).toBe(0);
  });

  it('prefers milliseconds', () => {
    expect(read({ 'retry-after-ms': '250', 'retry-after': '7' })).toBe(250);
  });

  it('falls back to Retry-After where the milliseconds cannot be read', () => {
    expect(read({ 'retry-after-ms': 'soon', 'retry-after': '7' })).toBe(7_000);
  });

  it('is a day at most', () => {
    for (const value of ['9'.repeat(400), '100000', 'Fri, 31 Dec 9999 23:59:59 GMT']) {
      expect(read({ 'retry-after': value })).toBe(86_400_000);
    }
  });

  it('is undefined where nothing is asked for or it cannot be read', () => {
    expect(read({})).toBeUndefined();
    for (const value of ['later', 'in a while 5', '-5', '1.2.3', '', 'Infinity']) {
      expect([value, read({ 'retry-after': value })]).toEqual([value, undefined]);
      expect([value, read({ 'retry-after-ms': value })]).toEqual([value, undefined]);
    }
    expect(retryAfterMs(() => null)).toBeUndefined();
  });
});
