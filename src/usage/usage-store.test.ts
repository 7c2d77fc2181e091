import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@redis/client';
import { eventually } from '../../test/support/eventually.js';
import { startProxy, type Proxy } from '../../test/support/proxy.js';
import { describeRedis, startRedis, type RedisServer } from '../../test/support/redis.js';
import { RedisConnection } from '../redis/redis-connection.js';
import { MemoryUsageStore } from './memory.usage-store.js';
import { RedisUsageStore } from './redis/redis.usage-store.js';
import { MAX_MODELS, noCounts, type Counts, type UsageStore } from './usage-store.js';

function counts(total_tokens: number): Counts {
  return { ...noCounts(), runs: 1, total_tokens };
}

function contract(open: () => UsageStore) {
  it('should add up by owner, day and model, and tell each owner of its own', async () => {
    const store = open();
    store.add('a', '2026-01-01', 'p/m', counts(10));
    store.add('a', '2026-01-01', 'p/m', counts(5));
    store.add('a', '2026-01-01', 'p/with space', counts(1));
    store.add('a', '2026-01-02', 'p/m', counts(2));
    store.add('a', '2026-01-03', 'p/m', counts(3));
    store.add('b', '2026-01-01', 'p/m', counts(7));
    await eventually(async () => {
      const rows = await store.read('a', ['2026-01-01', '2026-01-02']);
      rows.sort((one, other) => other.total_tokens - one.total_tokens);
      expect(rows).toEqual([
        { date: '2026-01-01', model: 'p/m', ...counts(15), runs: 2 },
        { date: '2026-01-02', model: 'p/m', ...counts(2) },
        { date: '2026-01-01', model: 'p/with space', ...counts(1) },
      ]);
    });
    expect(await store.read('nobody', ['2026-01-01'])).toEqual([]);
  });

  it('should take so many models apart and no more', async () => {
    const store = open();
    for (let n = 0; n < MAX_MODELS + 50; n += 1) {
      store.add('many', '2026-01-01', `p/${n}`, counts(1));
    }
    await eventually(async () => {
      const rows = await store.read('many', ['2026-01-01']);
      expect(rows.length).toBeLessThanOrEqual(MAX_MODELS + 1);
      expect(rows.find(({ model }) => model === 'other')).toMatchObject({
        ...counts(50),
        runs: 50,
      });
      expect(rows.reduce((sum, { runs }) => sum + runs, 0)).toBe(MAX_MODELS + 50);
    });
  });
}

describe(MemoryUsageStore.name, () => {
  contract(() => new MemoryUsageStore());

  it('should forget the oldest days first when there are too many rows', async () => {
    const store = new MemoryUsageStore(2);
    for (const day of ['2026-01-01', '2026-01-02', '2026-01-03']) {
      store.add('a', day, 'p/m', counts(1));
    }
    const rows = await store.read('a', ['2026-01-01', '2026-01-02', '2026-01-03']);
    expect(rows.map(({ date }) => date)).toEqual(['2026-01-02', '2026-01-03']);
  });

  it('should forget those who came first when one day alone has too many rows', async () => {
    const store = new MemoryUsageStore(2);
    for (const owner of ['a', 'b', 'c', 'c']) store.add(owner, '2026-01-01', 'p/m', counts(1));
    expect(await store.read('a', ['2026-01-01'])).toEqual([]);
    expect(await store.read('b', ['2026-01-01'])).toHaveLength(1);
    expect(await store.read('c', ['2026-01-01'])).toMatchObject([{ runs: 2 }]);
  });

  it('should not forget whom it counts for, also when they came first', async () => {
    const store = new MemoryUsageStore(2);
    store.add('a', '2026-01-01', 'p/1', counts(1));
    store.add('b', '2026-01-01', 'p/1', counts(1));
    store.add('a', '2026-01-01', 'p/2', counts(1));
    expect(await store.read('a', ['2026-01-01'])).toHaveLength(2);
    expect(await store.read('b', ['2026-01-01'])).toEqual([]);
  });
});

describeRedis(RedisUsageStore.name, () => {
  let server: RedisServer;
  let redis: RedisConnection;
  let admin: ReturnType<typeof createClient>;

  beforeAll(async () => {
    server = await startRedis();
    redis = new RedisConnection(server.url, 'test:');
    await redis.onModuleInit();
    admin = createClient({ url: server.url });
    await admin.connect();
  });
  afterAll(async () => {
    redis.onApplicationShutdown();
    admin.destroy();
    await server.close();
  });

  contract(() => new RedisUsageStore(redis));

  it('should add up what several instances write, under names with an end', async () => {
    const [one, other] = [new RedisUsageStore(redis), new RedisUsageStore(redis)];
    for (let n = 0; n < 100; n += 1) {
      one.add('both', '2026-01-01', 'p/m', counts(1));
      other.add('both', '2026-01-01', 'p/m', counts(2));
    }
    await eventually(async () => {
      expect(await one.read('both', ['2026-01-01'])).toMatchObject([
        { runs: 200, total_tokens: 300 },
      ]);
    });
    for (const key of await admin.keys('test:usage:*')) {
      expect(key).not.toContain('both');
      expect(await admin.ttl(key)).toBeGreaterThan(399 * 86_400);
    }
  });

  it('should write what it could not while Redis was away, and once', async () => {
    const proxy: Proxy = await startProxy(server.port);
    const through = new RedisConnection(`redis://127.0.0.1:${proxy.port}`, 'test:');
    await through.onModuleInit();
    const store = new RedisUsageStore(through);
    store.add('cut', '2025-12-31', 'p/m', counts(1));
    await eventually(async () => expect(await store.read('cut', ['2025-12-31'])).toHaveLength(1));
    // What is sent is done, and nobody says so.
    proxy.silence();
    for (let n = 0; n < 10; n += 1) store.add('cut', '2026-01-01', 'p/m', counts(1));
    await eventually(async () => {
      expect(await new RedisUsageStore(redis).read('cut', ['2026-01-01'])).toMatchObject([
        { runs: 1 },
      ]);
    });
    proxy.cut();
    await eventually(async () => {
      expect(await store.read('cut', ['2026-01-01'])).toMatchObject([{ runs: 10 }]);
    }, 10_000);
    await store.onApplicationShutdown();
    through.onApplicationShutdown();
    await proxy.close();
  });

  it('should keep a bounded number of rows for a Redis that is away', async () => {
    const away = new RedisConnection('redis://127.0.0.1:1', 'test:');
    const store = new RedisUsageStore(away, 2);
    for (const model of ['p/1', 'p/2', 'p/3']) store.add('a', '2026-01-01', model, counts(1));
    await expect(store.read('a', ['2026-01-01'])).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    await store.onApplicationShutdown();
    away.onApplicationShutdown();
  });
});
