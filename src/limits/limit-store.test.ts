import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { createClient } from '@redis/client';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../test/support/eventually.js';
import { startProxy } from '../../test/support/proxy.js';
import { describeRedis, startRedis, type RedisServer } from '../../test/support/redis.js';
import type { Limits } from '../config/file/limits.schema.js';
import { RedisConnection } from '../redis/redis-connection.js';
import { STEPS, type LimitStore, type Scope, type Taking } from './limit-store.js';
import { MemoryLimitStore } from './memory.limit-store.js';
import { LEASE_MS, RedisLimitStore } from './redis/redis.limit-store.js';

/** A minute of 2.4 seconds. */
const STEP_MS = 40;
const MINUTE_MS = STEPS * STEP_MS;

/** A minute that no test outlives. */
const LONG_STEP_MS = 1_000;

const HOUR_MS = 60 * 60_000;

let owners = 0;

/** What asks for `tokens` of an owner of its own, unless it is given one. */
function taking(limits: Limits, tokens = 1, owner = `owner-${(owners += 1)}`): Taking {
  return { owner, scopes: [{ limits }], tokens };
}

async function isTaken(store: LimitStore, asked: Taking): Promise<boolean> {
  return (await store.take(asked)).place !== undefined;
}

interface Stores {
  store: LimitStore;
  /** Shares its counts with the first, on another instance or itself. */
  peer: LimitStore;
}

/** @param calm those whose minute is long */
function contract(stores: () => Stores, calm: () => Stores) {
  let store: LimitStore;
  let peer: LimitStore;
  beforeAll(() => {
    ({ store, peer } = stores());
  });

  it('should let so many requests in within a minute, wherever they come', async () => {
    const asked = taking({ requestsPerMinute: 10 });
    const takes = Array.from({ length: 30 }, (_, index) =>
      isTaken(index % 2 ? store : peer, asked),
    );
    expect((await Promise.all(takes)).filter(Boolean)).toHaveLength(10);

    const { place, standings } = await peer.take(asked);
    expect(place).toBeUndefined();
    expect(standings).toMatchObject([{ requests: { used: 10 } }]);
    const { waitMs, resetMs } = standings[0]!.requests;
    expect(waitMs).toBeGreaterThan(MINUTE_MS / 4);
    expect(waitMs).toBeLessThanOrEqual(MINUTE_MS + STEP_MS);
    expect(resetMs).toBeGreaterThanOrEqual(waitMs);
    await sleep(waitMs + 5);
    expect(await isTaken(store, asked)).toBe(true);
  });

  it('should never let more in within any minute, also not around the end of one', async () => {
    const asked = taking({ requestsPerMinute: 5 });
    const times: number[] = [];
    const end = performance.now() + 2.5 * MINUTE_MS;
    while (performance.now() < end) {
      const { place, at } = await store.take(asked);
      if (place) times.push(at);
      await sleep(Math.random() * 40);
    }
    expect(times.length).toBeGreaterThanOrEqual(10);
    for (const [index, time] of times.entries()) {
      const next = times[index + 5];
      if (next !== undefined) expect(next - time).toBeGreaterThanOrEqual(MINUTE_MS);
    }
  });

  it.each(['tokensPerMinute', 'tokensPerDay'] as const)(
    'should count what was used in place of what was taken, for %s',
    async (name) => {
      const { store, peer } = calm();
      const asked = taking({ [name]: 100 }, 60);
      const usedOf = ({ standings: [scope] }: Awaited<ReturnType<LimitStore['take']>>) =>
        name === 'tokensPerDay' ? scope!.today : scope!.tokens.used;
      const first = await store.take(asked);
      expect(await isTaken(peer, asked)).toBe(false);

      store.settle(first.place!, 25);
      await eventually(async () => {
        const small = await peer.take({ ...asked, tokens: 75 });
        expect([small.place !== undefined, usedOf(small)]).toEqual([true, 25]);
        peer.settle(small.place!, 0);
      });
      await eventually(async () =>
        expect(await isTaken(store, { ...asked, tokens: 75 })).toBe(true),
      );
      expect(await isTaken(store, { ...asked, tokens: 1 })).toBe(false);
    },
  );

  it('should count more than was taken where more was used', async () => {
    const asked = taking({ tokensPerMinute: 100 }, 10);
    store.settle((await store.take(asked)).place!, 95);
    await eventually(async () => expect(await isTaken(peer, asked)).toBe(false));
  });

  it('should tell of a request that never fits', async () => {
    const { place, standings } = await store.take(taking({ tokensPerMinute: 100 }, 101));
    expect([place, standings[0]!.tokens.waitMs]).toEqual([undefined, Infinity]);
  });

  it('should have so many streams at a time, and give each back when it is over', async () => {
    const asked = taking({ concurrentStreams: 3 });
    const takes = await Promise.all([0, 1, 2, 3, 4, 5].map(() => store.take(asked)));
    const places = takes.flatMap(({ place }) => place ?? []);
    expect(places).toHaveLength(3);
    expect(await isTaken(peer, asked)).toBe(false);
    store.settle(places[0]!, 0);
    await eventually(async () => expect(await isTaken(peer, asked)).toBe(true));
    expect(await isTaken(store, asked)).toBe(false);
  });

  it('should give a stream back when it is released, and its tokens when they are settled', async () => {
    const asked = taking({ concurrentStreams: 1, tokensPerDay: 100 }, 40);
    const { place } = await store.take(asked);
    store.release(place!);
    await eventually(async () => {
      expect((await peer.take({ ...asked, tokens: 61 })).standings).toMatchObject([
        { streams: 0, today: 40 },
      ]);
    });
    store.settle(place!, 30);
    await eventually(async () => expect(await isTaken(peer, { ...asked, tokens: 70 })).toBe(true));
    expect(await isTaken(peer, { ...asked, tokens: 1 })).toBe(false);
  });

  it('should take of all scopes or of none', async () => {
    const scopes: Scope[] = [
      { limits: { requestsPerMinute: 3, tokensPerMinute: 1_000 } },
      { models: 'gpt-*', limits: { concurrentStreams: 1 } },
    ];
    const both = { ...taking({}), scopes };
    const other = { ...both, scopes: [scopes[0]!] };
    const first = await store.take(both);
    for (let n = 0; n < 5; n += 1) expect(await isTaken(peer, both)).toBe(false);
    const { standings } = await store.take(other);
    expect(standings).toMatchObject([{ requests: { used: 1 }, tokens: { used: 1 }, streams: 1 }]);

    store.settle(first.place!, 1);
    await eventually(async () => expect(await isTaken(peer, both)).toBe(true));
    expect(await isTaken(peer, other)).toBe(false);
  });

  it('should not let one owner have what is another ones', async () => {
    const limits = { requestsPerMinute: 1 };
    expect(await isTaken(store, taking(limits))).toBe(true);
    expect(await isTaken(store, taking(limits))).toBe(true);
  });
}

describe(MemoryLimitStore.name, () => {
  const shared = new MemoryLimitStore(STEP_MS);
  const calm = new MemoryLimitStore(LONG_STEP_MS);
  contract(
    () => ({ store: shared, peer: shared }),
    () => ({ store: calm, peer: calm }),
  );

  describe('what is settled late', () => {
    afterEach(() => {
      jest.useRealTimers();
    });

    /** How an owner stands who took 60 tokens, and used another number when so much time was over. */
    async function standingAfter(from: string, laterMs: number, used: number) {
      jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate'], now: new Date(from) });
      const store = new MemoryLimitStore();
      const asked = taking({ tokensPerMinute: 100, tokensPerDay: 100 }, 60);
      const { place } = await store.take(asked);
      jest.setSystemTime(Date.now() + laterMs);
      store.settle(place!, used);
      return (await store.take(asked)).standings[0]!;
    }

    it('should count in this minute what was used beyond what was taken in an earlier one', async () => {
      const { tokens } = await standingAfter('2026-01-01T12:00:00Z', 90_000, 85);
      expect(tokens.used).toBe(25);
    });

    it('should give nothing back to this minute of what was taken in an earlier one', async () => {
      const { tokens } = await standingAfter('2026-01-01T12:00:00Z', 90_000, 10);
      expect(tokens.used).toBe(0);
    });

    it.each([
      [10, 0],
      [85, 25],
    ])(
      'should free the minute by a clock that was set back, where %i were used',
      async (used, beyond) => {
        const { requests, tokens } = await standingAfter('2026-01-01T12:00:00Z', -HOUR_MS, used);
        expect([requests.used, tokens.used]).toEqual([0, beyond]);
      },
    );

    it.each([10, 85])('should count on the day of its taking that %i were used', async (used) => {
      expect((await standingAfter('2026-01-01T12:00:00Z', 10_000, used)).today).toBe(used);
      expect((await standingAfter('2026-01-01T23:59:55Z', 10_000, used)).today).toBe(0);
    });
  });

  it('should know a bounded number of scopes, those with a stream for as long as it goes on', async () => {
    const store = new MemoryLimitStore(STEP_MS, 2);
    const limits = { requestsPerMinute: 1 };
    const [streaming, idle, third] = [taking(limits), taking(limits), taking(limits)];
    await store.take(streaming);
    store.settle((await store.take(idle)).place!, 0);
    await store.take(third);
    expect(await isTaken(store, streaming)).toBe(false);
    expect(await isTaken(store, idle)).toBe(true);
  });
});

describeRedis(RedisLimitStore.name, () => {
  let server: RedisServer;
  let admin: ReturnType<typeof createClient>;
  const open: { onApplicationShutdown: () => unknown }[] = [];
  let store: RedisLimitStore;
  let peer: RedisLimitStore;

  let calm: Stores;

  async function openStore(port = server.port, stepMs = STEP_MS) {
    const redis = new RedisConnection(`redis://127.0.0.1:${port}`, 'test:');
    await redis.onModuleInit();
    const opened = new RedisLimitStore(redis, stepMs);
    open.push(opened, redis);
    return { redis, store: opened };
  }

  beforeAll(async () => {
    server = await startRedis();
    admin = createClient({ url: server.url });
    await admin.connect();
    ({ store } = await openStore());
    ({ store: peer } = await openStore());
    calm = {
      store: (await openStore(server.port, LONG_STEP_MS)).store,
      peer: (await openStore(server.port, LONG_STEP_MS)).store,
    };
  });
  afterAll(async () => {
    for (const each of open) await each.onApplicationShutdown();
    admin.destroy();
    await server.close();
  });

  contract(
    () => ({ store, peer }),
    () => calm,
  );

  it('should have names that end, and tell nobody who the owner is', async () => {
    await store.take(taking({ requestsPerMinute: 1 }, 1, 'somebody'));
    const keys = await admin.keys('*');
    for (const key of keys) {
      expect(key).not.toContain('somebody');
      expect(await admin.ttl(key)).toBeGreaterThan(0);
      expect(await admin.ttl(key)).toBeLessThanOrEqual(25 * 60 * 60);
    }
  });

  it('should give back after a lease what an instance held that died, streams and tokens', async () => {
    const { redis, store: dying } = await openStore();
    const asked = taking({ concurrentStreams: 3, tokensPerDay: 100 }, 30);
    const takes = await Promise.all([1, 2, 3].map(() => dying.take(asked)));
    dying.release(takes[0]!.place!);
    await eventually(async () => {
      expect((await store.take({ ...asked, tokens: 11 })).standings).toMatchObject([
        { today: 90, streams: 2 },
      ]);
    });
    redis.onApplicationShutdown();
    const diedAt = performance.now();
    const all = { ...asked, tokens: 100 };
    expect(await isTaken(store, all)).toBe(false);
    await eventually(async () => {
      const { place, standings } = await store.take(all);
      expect(place).toBeDefined();
      expect(standings).toMatchObject([{ today: 0, streams: 0 }]);
    }, LEASE_MS + 2_000);
    expect(performance.now() - diedAt).toBeLessThan(LEASE_MS + 1_000);
  });

  it('should hold what goes on for longer than a lease, and in a Redis that lost it', async () => {
    const asked = taking({ concurrentStreams: 1, tokensPerDay: 100 }, 60);
    const { place } = await store.take(asked);
    const released = (await store.take({ ...taking({ tokensPerDay: 60 }, 60) })).place!;
    store.release(released);
    await sleep(LEASE_MS + 1_000);
    expect(await isTaken(peer, asked)).toBe(false);
    expect(await isTaken(peer, released)).toBe(false);

    await admin.flushAll();
    await sleep(2_000);
    const { place: none, standings } = await peer.take(asked);
    expect(none).toBeUndefined();
    expect(standings).toMatchObject([{ today: 60, streams: 1 }]);
    store.settle(place!, 40);
    await eventually(async () => expect(await isTaken(peer, asked)).toBe(true));
  });

  it('should settle what it could not while Redis was away for a moment, and once', async () => {
    const proxy = await startProxy(server.port);
    const { redis, store: cut } = await openStore(proxy.port);
    const asked = taking({ concurrentStreams: 1, tokensPerDay: 100 }, 60);
    const { place } = await cut.take(asked);
    // What is sent is done, and nobody says so.
    proxy.silence();
    cut.settle(place!, 45);
    await sleep(100);
    proxy.cut();
    await eventually(() => expect(redis.isUp).toBe(true), 5_000);
    await sleep(2_000);
    const { standings } = await peer.take(asked);
    expect(standings).toMatchObject([{ today: 45, streams: 0 }]);
    await proxy.close();
  });

  it('should count what was used of a place that ran out while Redis was away', async () => {
    const proxy = await startProxy(server.port);
    const { redis, store: cut } = await openStore(proxy.port);
    const asked = taking({ tokensPerDay: 100 }, 60);
    const { place } = await cut.take(asked);
    const all = { ...asked, tokens: 101 };
    proxy.silence();
    await eventually(() => expect(redis.isUp).toBe(false), 5_000);
    cut.settle(place!, 45);
    await eventually(
      async () => expect((await peer.take(all)).standings).toMatchObject([{ today: 0 }]),
      LEASE_MS + 2_000,
    );
    proxy.cut();
    await eventually(
      async () => expect((await peer.take(all)).standings).toMatchObject([{ today: 45 }]),
      5_000,
    );
    await proxy.close();
  });

  it.each([
    [10, 0],
    [85, 25],
  ])(
    'should free the minute by a clock that was set back, where %i were used',
    async (used, beyond) => {
      const asked = taking({ tokensPerMinute: 100 }, 60);
      const place = (await calm.store.take(asked)).place!;
      const owner = createHash('sha256').update(asked.owner).digest('base64url');
      const [counts] = await admin.keys(`test:limits:{${owner}}:*:counts`);
      for (const [name, count] of Object.entries(await admin.hGetAll(counts!))) {
        if (name.startsWith('d')) continue;
        await admin.hDel(counts!, name);
        const later = Number(name.slice(1)) + HOUR_MS / LONG_STEP_MS;
        await admin.hSet(counts!, `${name[0]}${later}`, count);
      }
      place.at += HOUR_MS;
      calm.store.settle(place, used);
      await eventually(async () => {
        const { requests, tokens, streams } = (await calm.peer.take({ ...asked, tokens: 101 }))
          .standings[0]!;
        expect([requests.used, tokens.used, streams]).toEqual([0, beyond, 0]);
      });
    },
  );

  it('should say when Redis is away', async () => {
    const { store: away } = await openStore(1);
    await expect(away.take(taking({ requestsPerMinute: 1 }))).rejects.toMatchObject({
      code: 'store_unavailable',
    });
  });
});
