import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { lastValueFrom, Subject, toArray } from 'rxjs';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../test/support/eventually.js';
import { describeRedis, startRedis, type RedisServer } from '../../test/support/redis.js';
import { ChatError } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import type { UpstreamChunk } from '../providers/chunk.js';
import { RedisConnection, storeUnavailable } from '../redis/redis-connection.js';
import { LocalRun } from './local.run.js';
import { MemoryRunStore, type Retention } from './memory.run-store.js';
import { GATHER_MS, MAX_BATCH_LENGTH, RENEW_MS } from './redis/journal.js';
import { Keys, listed } from './redis/keys.js';
import { MAX_LOOKED_THROUGH, RedisRunStore } from './redis/redis.run-store.js';
import type { ListOptions, RunStore } from './run-store.js';
import type { RunStatus } from './run.js';

const RETENTION: Retention = { retentionMs: 5_000, maxSize: 1_000_000 };

const ALL: ListOptions = { limit: 100 };

const USAGE = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };

/** A run that says what it is told to. */
class ToldRun extends LocalRun {
  private readonly told: Subject<Frame>;
  private counting?: Promise<void>;

  constructor(owner = 'alice', choices = 1) {
    const told = new Subject<Frame>();
    super({
      caller: { owner, name: owner, source: 'key', credential: 'a' },
      model: 'm',
      generation: { target: 'told/m', frames: told, hasAsked: true },
      choices,
      graceMs: Infinity,
      commitAfterMs: 10_000,
      maxLength: 1_000_000,
      estimateUsage: async () => {
        await this.counting;
        return { ...USAGE, source: 'estimated' };
      },
    });
    this.told = told;
  }

  /** Holds the counting of its tokens up. @returns what lets it go on */
  holdCount(): () => void {
    let release = () => {};
    this.counting = new Promise((resolve) => (release = resolve));
    return release;
  }

  say(content: string) {
    this.tell([{ index: 0, delta: { content }, finish_reason: null }]);
  }

  finish() {
    this.tell([{ index: 0, delta: {}, finish_reason: 'stop' }]);
    this.told.complete();
  }

  break(error: ChatError) {
    this.told.error(error);
  }

  private tell(choices: UpstreamChunk['choices']) {
    this.told.next({ chunk: { id: 'c', object: 'chat.completion.chunk', model: 'm', choices } });
  }
}

/** @param peer a store that shares its runs with the first, on another instance or itself */
function contract(stores: () => { store: RunStore; peer: RunStore }) {
  let store: RunStore;
  let peer: RunStore;

  beforeEach(() => {
    ({ store, peer } = stores());
  });
  afterAll(async () => {
    for (const run of [...store.live(), ...peer.live()]) await run.cancel();
  });

  function started(run = new ToldRun()): ToldRun {
    store.add(run);
    run.activity.subscribe();
    return run;
  }

  /** The run as the peer has it. */
  async function onPeer(run: LocalRun) {
    await eventually(async () => expect(await peer.find(run.id)).toBeDefined());
    return (await peer.find(run.id))!;
  }

  /** The same, when the peer knows that it has ended. */
  async function ended(run: LocalRun) {
    await eventually(async () => {
      expect((await peer.find(run.id))?.state.ended_at).toEqual(expect.any(String));
    }, 5_000);
    return (await peer.find(run.id))!;
  }

  it('should find what was added, and nothing else', async () => {
    const run = started(new ToldRun('alice', 2));

    await onPeer(run);
    for (const each of [store, peer]) {
      expect(await each.find(run.id)).toMatchObject({ id: run.id, owner: 'alice', choices: 2 });
      expect(await each.find(`run_${'0'.repeat(32)}`)).toBeUndefined();
      expect(await each.find('run_*')).toBeUndefined();
      expect(await each.find('')).toBeUndefined();
    }
  });

  it("should list an owner's runs, the newest first", async () => {
    const runs: ToldRun[] = [];
    for (const owner of ['carol', 'dave', 'carol', 'carol']) {
      runs.push(started(new ToldRun(owner)));
      await sleep(5);
    }
    const ids = [3, 2, 0].map((at) => runs[at]!.id);

    expect((await store.list('carol', ALL)).map(({ id }) => id)).toEqual(ids);
    await onPeer(runs[3]!);
    expect((await peer.list('carol', ALL)).map(({ id }) => id)).toEqual(ids);
    expect(await peer.list('nobody', ALL)).toEqual([]);
  });

  it('should list so many as it is told to, of one status or all', async () => {
    const runs: ToldRun[] = [];
    for (let at = 0; at < 4; at += 1) {
      runs.push(started(new ToldRun('frank')));
      await sleep(5);
    }
    for (const run of runs.slice(0, 3)) run.finish();
    for (const run of runs.slice(0, 3)) await ended(run);
    const [first, second, third, live] = runs.map(({ id }) => id);

    for (const each of [store, peer]) {
      const list = async (options: ListOptions) =>
        (await each.list('frank', options)).map(({ id }) => id);
      expect(await list({ limit: 2 })).toEqual([live, third]);
      expect(await list({ status: 'completed', limit: 2 })).toEqual([third, second]);
      expect(await list({ status: 'completed', limit: 4 })).toEqual([third, second, first]);
      expect(await list({ status: 'failed', limit: 4 })).toEqual([]);
    }
  });

  it('should show what comes to whoever views it, and end with its end', async () => {
    const run = started();
    run.say('one');
    const viewed = await onPeer(run);
    const seen = lastValueFrom(viewed.activity.pipe(toArray()));
    await eventually(() => expect(viewed.log.entries).toHaveLength(2), 5_000);
    run.say('two');
    run.finish();

    await seen;
    expect(JSON.stringify(viewed.log.entries)).toBe(JSON.stringify(run.log.entries));
    expect((await ended(run)).state).toEqual(run.state);
  });

  it('should show an ended run to whoever comes later', async () => {
    const run = started();
    run.say('one');
    run.finish();

    const late = await ended(run);
    await lastValueFrom(late.activity, { defaultValue: undefined });
    expect(late.isKept).toBe(true);
    expect(late.log.entries.map(({ type }) => type)).toEqual(['start', 'message', 'done']);
    expect([1, 3, 4].map((seq) => late.locate(seq))).toEqual(['within', 'end', 'ahead']);
  });

  it('should tell a failure as it was', async () => {
    const run = started();
    run.say('one');
    const upstream = { type: 'tokens', code: 'slow_down', param: 'q' };
    run.break(
      new ChatError('provider_rate_limited', 'Too fast.', { retryAfterMs: 7_000, upstream }),
    );

    const viewed = await ended(run);
    await lastValueFrom(viewed.activity, { defaultValue: undefined });
    const { terminal } = viewed.log;
    expect(terminal).toMatchObject({
      type: 'error',
      data: { code: 'provider_rate_limited', usage: { source: 'estimated' } },
      error: { status: 429, retryAfterMs: 7_000, retryable: true, body: upstream },
    });
    expect(terminal?.type === 'error' && terminal.error).toBeInstanceOf(ChatError);
  });

  it('should tell how a run ends while its tokens are counted', async () => {
    const run = started();
    run.say('one');
    await onPeer(run);
    const count = run.holdCount();
    const stopped = run.cancel();

    try {
      await eventually(async () => {
        const { state } = (await peer.find(run.id))!;
        expect(state).toMatchObject({ status: 'cancelled', ended_at: null });
      }, RENEW_MS / 2);
      expect(store.live()).toContain(run);
    } finally {
      count();
    }
    await stopped;
    expect((await ended(run)).state).toEqual(run.state);
  });

  it('should stop a run for whoever found it, as often as they like', async () => {
    const run = started();
    run.say('one');
    const found = await onPeer(run);

    await Promise.all([found.cancel(), found.cancel()]);
    await (await peer.find(run.id))!.cancel();

    expect(run.log.terminal?.type).toBe('cancelled');
    expect(found.state).toEqual(run.state);
  });

  it('should forget what is removed, on every instance', async () => {
    for (const remover of [store, peer]) {
      const run = started();
      run.say('one');
      await onPeer(run);
      const found = (await remover.find(run.id))!;
      await found.cancel();
      await remover.remove(found);
      await remover.remove(found);

      expect(await remover.find(run.id)).toBeUndefined();
      await eventually(async () => {
        expect(await store.find(run.id)).toBeUndefined();
        expect(await peer.find(run.id)).toBeUndefined();
        expect((await store.list('alice', ALL)).map(({ id }) => id)).not.toContain(run.id);
      });
    }
  });

  it('should show its end to those who view a run that is removed', async () => {
    const run = started();
    const viewed = await onPeer(run);
    const seen = lastValueFrom(viewed.activity.pipe(toArray()));
    run.say('one');
    await run.cancel();
    await store.remove(run);

    await seen;
    expect(viewed.log.terminal?.type).toBe('cancelled');
  });

  it('should know the runs that have not ended here', async () => {
    const run = started();
    const over = started();
    over.say('one');
    over.finish();
    await ended(over);
    expect(store.live().map(({ id }) => id)).toContain(run.id);
    expect(store.live().map(({ id }) => id)).not.toContain(over.id);
    if (peer !== store) expect(peer.live()).toEqual([]);
  });

  it('should give a key to one of all that claim it at once', async () => {
    const runs = [store, peer, store, peer].map((each) => {
      const run = new ToldRun();
      each.add(run);
      return { run, each };
    });
    const holders = await Promise.all(
      runs.map(({ run, each }) => each.claim('key', { runId: run.id, digest: 'd' })),
    );

    expect(new Set(holders.map(({ runId }) => runId)).size).toBe(1);
    expect(await peer.claim('key', { runId: runs[3]!.run.id, digest: 'e' })).toEqual(holders[0]);
  });

  it('should take a key back from the run that holds it alone', async () => {
    const [first, second] = [started(), started()];
    const claim = { runId: first.id, digest: 'd' };
    await store.claim('released', claim);

    await peer.release('released', second.id);
    expect(await store.claim('released', { ...claim, runId: second.id })).toEqual(claim);
    await peer.release('released', first.id);
    expect(await store.claim('released', { ...claim, runId: second.id })).toMatchObject({
      runId: second.id,
    });
  });

  it('should keep an ended run and its key for as long as it is told, and no longer', async () => {
    const run = started(new ToldRun('eve'));
    await store.claim('kept', { runId: run.id, digest: 'd' });
    run.say('one');
    await sleep(2_000);
    run.finish();
    await ended(run);
    await sleep(4_000);
    expect(await peer.find(run.id)).toBeDefined();
    expect((await peer.list('eve', ALL)).map(({ id }) => id)).toEqual([run.id]);
    await sleep(1_500);

    expect(await store.find(run.id)).toBeUndefined();
    expect(await peer.find(run.id)).toBeUndefined();
    expect(await peer.list('eve', ALL)).toEqual([]);
    const next = started();
    expect(await store.claim('kept', { runId: next.id, digest: 'd' })).toMatchObject({
      runId: next.id,
    });
  });
}

describe(MemoryRunStore, () => {
  const store = new MemoryRunStore(RETENTION);
  contract(() => ({ store, peer: store }));

  it('should drop the entries of ended runs that take too much, and keep their state', async () => {
    const small = new MemoryRunStore({ ...RETENTION, maxSize: 0 });
    const run = new ToldRun();
    small.add(run);
    run.activity.subscribe();
    run.say('one');
    run.finish();

    await eventually(async () => expect((await small.find(run.id))?.isKept).toBe(false));
    const found = await small.find(run.id);
    expect(found?.state).toEqual(run.state);
    // Who has seen its end needs no entries.
    expect([0, 2, 3].map((seq) => found?.locate(seq))).toEqual(['within', 'within', 'end']);
  });
});

describeRedis(RedisRunStore.name, () => {
  let server: RedisServer;
  let store: RedisRunStore;
  let peer: RedisRunStore;
  const opened: { onApplicationShutdown: () => unknown }[] = [];

  async function connect(): Promise<RedisConnection> {
    const redis = new RedisConnection(server.url, 'test:');
    await redis.onModuleInit();
    opened.push(redis);
    return redis;
  }

  async function openStore(retention = RETENTION): Promise<RedisRunStore> {
    const redis = new RedisConnection(server.url, 'test:');
    await redis.onModuleInit();
    const opening = new RedisRunStore(redis, retention);
    opened.push(opening, redis);
    return opening;
  }

  beforeAll(async () => {
    server = await startRedis();
    store = await openStore();
    peer = await openStore();
  });
  afterAll(async () => {
    for (const each of opened) await each.onApplicationShutdown();
    await server.close();
  });

  contract(() => ({ store, peer }));

  it('should look for the runs of a list among so many that were heard of last', async () => {
    const redis = await connect();
    const keys = new Keys('test:');
    const { state } = new ToldRun();
    const rows = Array.from({ length: MAX_LOOKED_THROUGH + 1 }, (_, at) => {
      const created_at = new Date(at).toISOString();
      // Of the two that failed, the oldest, one is heard of first and one last.
      const status: RunStatus = at < 2 ? 'failed' : 'completed';
      const score = at === 1 ? MAX_LOOKED_THROUGH + 1 : at;
      const id = `run_${String(at).padStart(32, '0')}`;
      return {
        score,
        state: { ...state, id, status, created_at, ended_at: created_at },
      };
    });
    await Promise.all([
      ...rows.map((row) =>
        redis.commands.hSet(keys.meta(row.state.id), 'state', JSON.stringify(row.state)),
      ),
      redis.commands.zAdd(
        keys.runsOf('heidi'),
        rows.map((row) => ({ score: row.score, value: listed(row.state) })),
      ),
    ]);

    const states = rows.map((row) => row.state);
    expect(await store.list('heidi', { status: 'failed', limit: 4 })).toEqual([states[1]]);
    const newest = states.slice(-4).reverse();
    expect(await store.list('heidi', { status: 'completed', limit: 4 })).toEqual(newest);
  });

  it('should find the entries in Redis that memory dropped', async () => {
    const small = await openStore({ ...RETENTION, maxSize: 0 });
    const run = new ToldRun();
    small.add(run);
    run.activity.subscribe();
    run.say('one');
    run.finish();

    await eventually(async () => expect((await small.find(run.id))?.isKept).toBe(true));
    const found = (await small.find(run.id))!;
    await lastValueFrom(found.activity, { defaultValue: undefined });
    expect(JSON.stringify(found.log.entries)).toBe(JSON.stringify(run.log.entries));
  });

  it('should know the end of its own run that others took for lost meanwhile', async () => {
    const redis = new RedisConnection(server.url, 'test:');
    await redis.onModuleInit();
    const cutOff = new RedisRunStore(redis, { retentionMs: 30_000, maxSize: 0 });
    opened.push(cutOff, redis);
    const run = new ToldRun();
    cutOff.add(run);
    run.activity.subscribe();
    await eventually(async () => expect(await peer.find(run.id)).toBeDefined());
    const cut = jest.spyOn(redis, 'commands', 'get').mockImplementation(() => {
      throw storeUnavailable();
    });
    run.say('one');
    run.finish();
    const lost = { status: 'failed', error: { code: 'run_lost' } };
    await eventually(async () => {
      expect((await peer.find(run.id))?.state).toMatchObject(lost);
    }, 10_000);
    cut.mockRestore();

    expect(await cutOff.find(run.id)).toMatchObject({ isKept: false, state: run.state });
    expect(run.state.status).toBe('completed');
  });

  it("should find a chat's newer run on another instance while the tokens of its own are counted", async () => {
    const [before, after] = [new ToldRun(), new ToldRun()];
    store.add(before);
    peer.add(after);
    for (const run of [before, after]) run.activity.subscribe();
    await store.linkChat('counted', { runId: before.id });
    await peer.linkChat('counted', { runId: after.id });
    expect(await store.findChat('counted')).toEqual({ runId: before.id });
    const count = before.holdCount();
    const stopped = before.cancel();
    expect(await store.findChat('counted')).toEqual({ runId: after.id });
    count();
    await stopped;
  });

  it('should tell how a run ends also where it is written to Redis at that moment', async () => {
    const redis = await connect();
    const writing = new RedisRunStore(redis, RETENTION);
    opened.push(writing);
    const run = new ToldRun();
    writing.add(run);
    run.activity.subscribe();
    await eventually(async () => expect(await peer.find(run.id)).toBeDefined());
    const { commands } = redis;
    const evalSha = commands.evalSha.bind(commands);
    const writes = jest.spyOn(commands, 'evalSha');
    // The next renewal is not soon then.
    await eventually(() => expect(writes).toHaveBeenCalled());
    writes.mockClear();
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    writes.mockImplementationOnce(async (...write) => {
      await released;
      return evalSha(...write);
    });
    run.say('one');
    await eventually(() => expect(writes).toHaveBeenCalled());
    const count = run.holdCount();
    const stopped = run.cancel();
    release();

    await eventually(async () => {
      expect((await peer.find(run.id))!.state.status).toBe('cancelled');
    }, RENEW_MS / 2);
    count();
    await stopped;
    writes.mockRestore();
  });

  it('should stop and forget a run that lives though it was taken for lost, for whoever removes it', async () => {
    const redis = await connect();
    const held = new RedisRunStore(redis, { ...RETENTION, retentionMs: 30_000 });
    opened.push(held);
    const run = new ToldRun();
    held.add(run);
    run.activity.subscribe();
    await eventually(async () => expect(await peer.find(run.id)).toBeDefined());
    const cut = jest.spyOn(redis, 'commands', 'get').mockImplementation(() => {
      throw storeUnavailable();
    });
    await eventually(async () => {
      expect((await peer.find(run.id))?.state.error?.code).toBe('run_lost');
    }, 10_000);
    const count = run.holdCount();
    const lost = (await peer.find(run.id))!;
    await lost.cancel();
    await peer.remove(lost);

    await eventually(() => expect(run.state.status).toBe('cancelled'));
    cut.mockRestore();
    expect(held.live()).toEqual([run]);
    count();
    await eventually(async () => expect(await held.find(run.id)).toBeUndefined());
    expect(held.live()).toEqual([]);
    await sleep(2 * RENEW_MS);
    expect(await peer.find(run.id)).toBeUndefined();
    const listed = await redis.commands.zRange(new Keys('test:').runsOf('alice'), 0, -1);
    expect(listed.join()).not.toContain(run.id);
  });

  it('should show at once what came before Redis knew that a run is followed', async () => {
    const redis = new RedisConnection(server.url, 'test:');
    await redis.onModuleInit();
    const late = new RedisRunStore(redis, RETENTION);
    opened.push(late, redis);
    const run = new ToldRun();
    store.add(run);
    run.activity.subscribe();
    await eventually(async () => expect(await late.find(run.id)).toBeDefined());
    const follow = redis.follow.bind(redis);
    jest.spyOn(redis, 'follow').mockImplementationOnce((...args) => {
      const following = sleep(300).then(() => follow(...args));
      return () => void following.then((unfollow) => unfollow());
    });

    const viewed = (await late.find(run.id))!;
    const viewing = viewed.activity.subscribe();
    await sleep(100);
    run.say('one');
    await eventually(() => expect(viewed.log.entries).toHaveLength(2), RENEW_MS / 2);
    viewing.unsubscribe();
  });

  it('should know that Redis dropped the entries of an ended run and kept the rest', async () => {
    const redis = await connect();
    const run = new ToldRun();
    store.add(run);
    run.activity.subscribe();
    run.say('one');
    run.finish();
    await eventually(async () => expect((await peer.find(run.id))?.locate(3)).toBe('end'));
    await redis.commands.del(`test:run:{${run.id}}:log`);

    const found = (await peer.find(run.id))!;
    expect(found).toMatchObject({ isKept: false, state: run.state });
    expect([0, 3, 4].map((seq) => found.locate(seq))).toEqual(['within', 'within', 'within']);
  });

  it('should end views of a run whose entries Redis dropped before they were read', async () => {
    const redis = await connect();
    const behind = new RedisRunStore(redis, RETENTION);
    opened.push(behind);
    const run = new ToldRun();
    store.add(run);
    run.activity.subscribe();
    run.say('one');
    await eventually(async () => expect(await behind.find(run.id)).toBeDefined());
    const viewed = (await behind.find(run.id))!;
    const seen = lastValueFrom(viewed.activity);
    await eventually(() => expect(viewed.log.entries).toHaveLength(2), 5_000);
    const cut = jest.spyOn(redis, 'commands', 'get').mockImplementation(() => {
      throw storeUnavailable();
    });
    run.finish();
    await eventually(async () => expect((await peer.find(run.id))?.locate(3)).toBe('end'));
    cut.mockRestore();
    await redis.commands.del(`test:run:{${run.id}}:log`);

    await seen;
    expect(viewed.log.terminal).toMatchObject({ type: 'error', data: { code: 'resume_gap' } });
    expect(viewed).toMatchObject({ isKept: false, state: run.state });
  });

  it('should write large entries a few at a time', async () => {
    const redis = await connect();
    const run = new ToldRun();
    store.add(run);
    run.activity.subscribe();
    const lengths: number[] = [];
    redis.follow(`test:run:{${run.id}}:grown`, (length) => lengths.push(Number(length)));
    await sleep(GATHER_MS);
    // A text is there twice, since its chunk has it too.
    for (let at = 0; at < 6; at += 1) run.say('x'.repeat(MAX_BATCH_LENGTH / 4));
    run.finish();

    await eventually(() => expect(lengths.at(-1)).toBe(8), 5_000);
    const written = lengths.map((length, at) => length - (lengths[at - 1] ?? 0));
    expect(written).toEqual([3, 2, 2, 1]);
  });

  it('should show the ends of runs that are kept for no time at all, whenever they end', async () => {
    const brief = await openStore({ retentionMs: 0, maxSize: 0 });
    const runs = Array.from({ length: 2 * (RENEW_MS / GATHER_MS) }, () => {
      const run = new ToldRun();
      brief.add(run);
      run.activity.subscribe();
      return run;
    });
    await eventually(async () => expect(await peer.find(runs.at(-1)!.id)).toBeDefined());
    const views = await Promise.all(runs.map(async ({ id }) => (await peer.find(id))!));
    const seen = views.map(({ activity }) => lastValueFrom(activity));
    for (const run of runs) {
      run.finish();
      await sleep(GATHER_MS / 2);
    }

    await Promise.all(seen);
    expect(views.map(({ log }) => log.terminal?.type)).toEqual(runs.map(() => 'done'));
    for (const { id } of runs) {
      expect((await peer.find(id))?.state.status).toBe('completed');
    }
  });
});
