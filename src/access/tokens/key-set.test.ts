import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { exportJWK, generateKeyPair, type FlattenedJWSInput, type JWK } from 'jose';
import { upstreamResponse } from '../../../test/support/upstream-response.js';
import { ChatError } from '../../errors/chat-error.js';
import { KeySet } from './key-set.js';

const MINUTE_MS = 60_000;
const TOKEN = {} as FlattenedJWSInput;

describe(KeySet.name, () => {
  let published: JWK[];
  let isAway: boolean;
  let hang: Promise<void> | undefined;
  let requests: number;
  let sut: KeySet;

  beforeEach(async () => {
    // Node's own streams and keys go on.
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    published = [await key('first')];
    isAway = false;
    hang = undefined;
    requests = 0;
    sut = new KeySet('https://login.example/jwks.json', {
      request: async () => {
        requests += 1;
        await hang;
        if (isAway) throw new ChatError('provider_unavailable', 'away');
        return upstreamResponse(200, JSON.stringify({ keys: published }));
      },
    });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  async function key(kid: string): Promise<JWK> {
    const { publicKey } = await generateKeyPair('ES256', { extractable: true });
    return { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' };
  }

  /** Whether there is such a key, as far as can be told. */
  async function find(kid: string): Promise<'found' | 'none' | 'unknown'> {
    try {
      await sut.find({ alg: 'ES256', kid }, TOKEN);
      return 'found';
    } catch (error) {
      return error instanceof ChatError ? 'unknown' : 'none';
    }
  }

  it('should fetch the keys once, and anew after ten minutes', async () => {
    expect(await find('first')).toBe('found');
    await jest.advanceTimersByTimeAsync(9 * MINUTE_MS);
    expect(await find('first')).toBe('found');
    expect(requests).toBe(1);
    published = [await key('second')];
    await jest.advanceTimersByTimeAsync(2 * MINUTE_MS);
    expect(await find('first')).toBe('none');
    expect(requests).toBe(2);
  });

  it('should fetch them anew for a key that it does not know, but not at once again', async () => {
    expect(await find('first')).toBe('found');
    published.push(await key('second'));
    await jest.advanceTimersByTimeAsync(3_000);
    expect(await find('second')).toBe('found');
    expect(await find('third')).toBe('none');
    expect(requests).toBe(2);
  });

  it('should go by what it knows for an hour while the issuer is away', async () => {
    expect(await find('first')).toBe('found');
    isAway = true;
    await jest.advanceTimersByTimeAsync(59 * MINUTE_MS);
    expect(await find('first')).toBe('found');
    expect(await find('second')).toBe('unknown');
    await jest.advanceTimersByTimeAsync(2 * MINUTE_MS);
    expect(await find('first')).toBe('unknown');
    isAway = false;
    await jest.advanceTimersByTimeAsync(3_000);
    expect(await find('first')).toBe('found');
  });

  it('should wait for an issuer that hangs but once, while it can go on without it', async () => {
    expect(await find('first')).toBe('found');
    isAway = true;
    await jest.advanceTimersByTimeAsync(11 * MINUTE_MS);
    expect(await find('first')).toBe('found');
    await jest.advanceTimersByTimeAsync(3_000);
    hang = new Promise(() => undefined);
    expect(await find('first')).toBe('found');
    expect(requests).toBe(3);
  });

  it('should not keep everybody waiting for an issuer that is away', async () => {
    isAway = true;
    for (let index = 0; index < 5; index += 1) expect(await find('first')).toBe('unknown');
    expect(requests).toBe(1);
  });
});
