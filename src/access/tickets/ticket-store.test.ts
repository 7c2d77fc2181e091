import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../../test/support/eventually.js';
import { describeRedis, startRedis, type RedisServer } from '../../../test/support/redis.js';
import { RedisConnection } from '../../redis/redis-connection.js';
import type { Caller } from '../caller.js';
import { MemoryTicketStore } from './memory.ticket-store.js';
import { RedisTicketStore } from './redis.ticket-store.js';
import type { TicketStore } from './ticket.store.js';

const CALLER: Caller = {
  owner: 'key:ann',
  name: 'ann',
  source: 'key',
  credential: 'c',
  models: ['fast'],
  limits: { requestsPerMinute: 3 },
};
const MINUTE_MS = 60_000;

/** @param peer a store that shares its tickets with the first, on another instance or itself */
function contract(stores: () => { store: TicketStore; peer: TicketStore }) {
  it('should find what a ticket stands for, on every instance', async () => {
    const { store, peer } = stores();
    await store.put('found', { caller: CALLER }, MINUTE_MS);
    expect(await store.find('found')).toEqual({ caller: CALLER });
    expect(await peer.find('found')).toEqual({ caller: CALLER });
    expect(await peer.find('other')).toBeUndefined();
  });

  it('should put one thing in place of another, from every instance', async () => {
    const { store, peer } = stores();
    await store.put('replaced', { caller: CALLER }, MINUTE_MS);
    await peer.put('replaced', { caller: CALLER, runId: 'run_1' }, MINUTE_MS);
    expect(await store.find('replaced')).toEqual({ caller: CALLER, runId: 'run_1' });
  });

  it('should forget a ticket when its time is over, which can be renewed', async () => {
    const { store, peer } = stores();
    await store.put('brief', { caller: CALLER }, 200);
    await store.put('renewed', { caller: CALLER }, 200);
    await peer.put('renewed', { caller: CALLER }, MINUTE_MS);
    await sleep(300);
    for (const each of [store, peer]) {
      expect(await each.find('brief')).toBeUndefined();
      expect(await each.find('renewed')).toBeDefined();
    }
  });
}

describe(MemoryTicketStore.name, () => {
  const store = new MemoryTicketStore();

  contract(() => ({ store, peer: store }));

  it('should keep no more than 100,000 tickets, and the newest', async () => {
    const full = new MemoryTicketStore();
    for (let index = 0; index <= 100_000; index += 1) {
      await full.put(`ticket-${index}`, { caller: CALLER }, MINUTE_MS);
    }
    expect(await full.find('ticket-0')).toBeUndefined();
    expect(await full.find('ticket-1')).toBeDefined();
    expect(await full.find('ticket-100000')).toBeDefined();
  });
});

describeRedis(RedisTicketStore.name, () => {
  let server: RedisServer;
  const connections: RedisConnection[] = [];
  let store: RedisTicketStore;
  let peer: RedisTicketStore;

  async function openStore() {
    const redis = new RedisConnection(server.url, 'test:');
    connections.push(redis);
    await redis.onModuleInit();
    return new RedisTicketStore(redis);
  }

  beforeAll(async () => {
    server = await startRedis();
    store = await openStore();
    peer = await openStore();
  });
  // What Redis did in the test before is over for all of them.
  beforeEach(() =>
    eventually(() => expect(connections.map(({ isUp }) => isUp)).toEqual([true, true])),
  );
  afterAll(async () => {
    for (const redis of connections) redis.onApplicationShutdown();
    await server.close();
  });

  contract(() => ({ store, peer }));

  it('should find its own while Redis is away, and say that it does not know of others', async () => {
    await store.put('own', { caller: CALLER }, MINUTE_MS);
    await server.stop();
    try {
      expect(await store.find('own')).toEqual({ caller: CALLER });
      await expect(peer.find('own')).rejects.toMatchObject({ code: 'store_unavailable' });
      await expect(store.put('new', { caller: CALLER }, MINUTE_MS)).rejects.toMatchObject({
        code: 'store_unavailable',
      });
    } finally {
      await server.start();
    }
    await eventually(async () => expect(await peer.find('own')).toBeUndefined());
  });

  it('should find in a Redis that came back empty what is in use here, and nothing else', async () => {
    const inUse = { caller: CALLER, runId: 'run_1', hasStarted: true };
    await store.put('in use', inUse, MINUTE_MS);
    await store.put('in use there', { caller: CALLER }, MINUTE_MS);
    await peer.put('in use there', inUse, MINUTE_MS);
    await server.stop();
    await server.start();
    await eventually(async () => expect(await store.find('in use there')).toBeUndefined());
    expect(await store.find('in use')).toEqual(inUse);
    await eventually(async () => expect(await peer.find('in use')).toBeUndefined());
  });
});
