import { randomUUID } from 'node:crypto';
import type { OnApplicationShutdown } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChatError } from '../../errors/chat-error.js';
import { storeUnavailable, type RedisConnection } from '../../redis/redis-connection.js';
import type { LocalRun } from '../local.run.js';
import { MemoryRunStore, type Retention } from '../memory.run-store.js';
import type { ChatLink, Claim, ListOptions, RunStore } from '../run-store.js';
import { isActive, type Run, type RunState } from '../run.js';
import { Journal, LEASE_MS, MAX_BATCH } from './journal.js';
import { idOfListed, Keys, listed } from './keys.js';
import { LostRuns } from './lost-runs.js';
import { RemoteRun, type RemoteMeta } from './remote.run.js';
import { RemoteViewers } from './remote-viewers.js';
import { RELEASE } from './scripts.js';
import { Wishes, type Wish } from './wishes.js';

/** How long the ends of the last runs get to be written at shutdown, in milliseconds. */
const SETTLE_MS = 1_000;

/** An owner's runs that are looked through for a list: those heard of last, first of all what goes on. */
export const MAX_LOOKED_THROUGH = 2_000;

const RUN_ID = /^run_[0-9a-f]{32}$/;

/** The runs of all instances that share a Redis. Those of this instance are served from memory. */
export class RedisRunStore implements RunStore, OnApplicationShutdown {
  private readonly local: MemoryRunStore;
  private readonly retentionMs: number;
  private readonly keys: Keys;
  private readonly journal: Journal;
  private readonly viewers: RemoteViewers;
  private readonly wishes: Wishes;
  private readonly lostRuns: LostRuns;
  /** Runs of other instances, one object each for all their viewers here, while there are any. */
  private readonly remote = new Map<string, WeakRef<RemoteRun>>();
  private readonly dropped = new FinalizationRegistry<string>((id) => {
    if (!this.remote.get(id)?.deref()) this.remote.delete(id);
  });

  constructor(
    private readonly redis: RedisConnection,
    retention: Retention,
  ) {
    const instance = randomUUID();
    this.local = new MemoryRunStore(retention);
    this.keys = new Keys(redis.prefix);
    // Instances need a moment to hear of a run's end, however short it is kept.
    this.retentionMs = Math.max(retention.retentionMs, LEASE_MS);
    this.journal = new Journal(this.redis, this.keys, instance, this.retentionMs, (id) =>
      this.local.keeps(id),
    );
    this.viewers = new RemoteViewers(this.redis);
    this.wishes = new Wishes(this.redis, this.keys, instance);
    this.lostRuns = new LostRuns(this.redis, this.keys);
    this.wishes.listen((wish) => this.grant(wish));
  }

  get isDegraded(): boolean {
    return !this.redis.isUp;
  }

  add(run: LocalRun) {
    this.local.add(run);
    this.journal.add(run);
  }

  async find(id: string): Promise<Run | undefined> {
    const local = await this.local.find(id);
    if (local?.isKept) return local;
    // What is not an id is not let near the names of keys.
    if (!RUN_ID.test(id)) return undefined;
    const meta = await this.readMeta(id);
    // Of a run that was taken for lost only its own instance knows the end.
    if (!meta || (local && meta.isLost)) return local;
    const known = this.remote.get(id)?.deref();
    if (known) {
      known.meta = meta;
      return known;
    }
    const run = new RemoteRun(id, meta, this.redis, this.keys, this.wishes, this.lostRuns);
    this.remote.set(id, new WeakRef(run));
    this.dropped.register(run, id);
    return run;
  }

  async list(owner: string, { status, limit }: ListOptions): Promise<RunState[]> {
    const runs = this.keys.runsOf(owner);
    const names = await this.redis.ask((redis) =>
      redis.zRange(runs, 0, MAX_LOOKED_THROUGH - 1, { REV: true }),
    );
    const ids = names.sort().reverse().map(idOfListed);
    const found: RunState[] = [];
    while (ids.length > 0 && found.length < limit) {
      const states = await Promise.all(ids.splice(0, MAX_BATCH).map((id) => this.readState(id)));
      for (const state of states) {
        if (state && state.status === (status ?? state.status)) found.push(state);
      }
    }
    return found.slice(0, limit);
  }

  async remove(run: Run): Promise<void> {
    const { id, owner } = run;
    await this.local.remove(run);
    // Who views it elsewhere is to see its end.
    if (run.log.terminal) await this.redis.ask(() => this.journal.settled(id));
    this.journal.remove(id);
    if (run instanceof RemoteRun) {
      this.wishes.send(run.meta.instance, { kind: 'forget', runId: id });
    }
    await this.redis.ask((redis) =>
      Promise.all([
        redis.del([this.keys.meta(id), this.keys.lease(id)]),
        redis.pExpire(this.keys.log(id), LEASE_MS),
        redis.zRem(this.keys.runsOf(owner), listed(run.state)),
      ]),
    );
  }

  async claim(key: string, claim: Claim): Promise<Claim> {
    const name = this.keys.claim(key);
    // Redis came back empty, and may not have been told of a claim again.
    if (this.redis.isRecovering(LEASE_MS)) throw storeUnavailable();
    // Whoever finds the claim finds the run.
    await this.redis.ask(() => this.journal.introduced(claim.runId));
    const holder = await this.redis.ask((redis) =>
      redis.set(name, JSON.stringify(claim), {
        condition: 'NX',
        GET: true,
        expiration: { type: 'PX', value: this.retentionMs },
      }),
    );
    if (holder) return JSON.parse(holder) as Claim;
    this.journal.hold(name, claim);
    return claim;
  }

  async release(key: string, runId: string): Promise<void> {
    await this.redis.ask((redis) => RELEASE.run(redis, [this.keys.claim(key)], [runId]));
  }

  async linkChat(chat: string, link: ChatLink): Promise<ChatLink | undefined> {
    const name = this.keys.chat(chat);
    const isLocal = this.local.liveRun(link.runId) !== undefined;
    const known = isLocal ? await this.local.linkChat(chat, link) : undefined;
    this.journal.hold(name, link);
    if (!this.redis.isUp) return known;
    try {
      // Whoever finds the link finds the run.
      await this.redis.ask(() => this.journal.introduced(link.runId));
      const before = await this.redis.ask((redis) =>
        redis.set(name, JSON.stringify(link), {
          GET: true,
          expiration: { type: 'PX', value: this.retentionMs },
        }),
      );
      return before ? (JSON.parse(before) as ChatLink) : known;
    } catch {
      return known;
    }
  }

  async findChat(chat: string): Promise<ChatLink | undefined> {
    // Another instance that links the chat stops this one's run.
    const known = await this.local.findChat(chat);
    const run = known && this.local.liveRun(known.runId);
    if (run && isActive(run)) return known;
    const link = await this.redis.ask((redis) => redis.get(this.keys.chat(chat)));
    if (link) return JSON.parse(link) as ChatLink;
    // Redis came back empty, and may not have been told of the chat again.
    if (this.redis.isRecovering(LEASE_MS)) throw storeUnavailable();
    return undefined;
  }

  live(): LocalRun[] {
    return this.local.live();
  }

  abandonViews(error: ChatError) {
    for (const run of this.remote.values()) run.deref()?.abandon(error);
  }

  async onApplicationShutdown() {
    const deadline = performance.now() + SETTLE_MS;
    while (this.journal.size > 0 && this.redis.isUp && performance.now() < deadline) {
      await sleep(10);
    }
    this.journal.close();
    this.viewers.close();
  }

  private async readState(id: string): Promise<RunState | undefined> {
    const local = await this.local.find(id);
    if (local) return local.state;
    const json = await this.redis.ask((redis) => redis.hGet(this.keys.meta(id), 'state'));
    if (json === null) return undefined;
    const state = JSON.parse(json) as RunState;
    // Whether it is lost need not be asked of a run that has ended.
    return state.ended_at === null ? (await this.readMeta(id))?.state : state;
  }

  private async readMeta(id: string): Promise<RemoteMeta | undefined> {
    const [fields, length, leases] = await this.redis.ask((redis) =>
      redis
        .multi()
        .hGetAll(this.keys.meta(id))
        .lLen(this.keys.log(id))
        .exists(this.keys.lease(id))
        .execTyped(),
    );
    const { owner, instance, choices, ended, lost } = fields;
    if (owner && instance && fields.state) {
      const state = JSON.parse(fields.state) as RunState;
      if (await this.isLost(state, leases)) return this.readMeta(id);
      return {
        owner,
        instance,
        choices: Number(choices),
        state,
        length,
        hasEnded: ended !== undefined,
        isLost: lost !== undefined,
      };
    }
    // Redis came back empty, and not every instance has told it of its runs again.
    if (this.redis.isRecovering(LEASE_MS)) throw storeUnavailable();
    return undefined;
  }

  /** Whether what was read of a run is out of date, since the run is found to be lost. */
  private async isLost(state: RunState, leases: number): Promise<boolean> {
    return state.ended_at === null && leases === 0 && this.lostRuns.look(state);
  }

  private grant(wish: Wish) {
    const run = this.local.liveRun(wish.runId);
    if (wish.kind === 'leave') this.viewers.leave(wish.runId, wish.from);
    else if (wish.kind === 'forget') void this.forget(wish.runId);
    else if (run && wish.kind === 'view') this.viewers.hold(run, wish.from);
    else if (run) void run.cancel();
  }

  /** Forgets a run of this instance, which goes on if others took it for lost and so did not stop it. */
  private async forget(runId: string) {
    // First, or its renewal would introduce it again.
    this.journal.remove(runId);
    await this.local.liveRun(runId)?.cancel();
    await this.local.remove({ id: runId });
  }
}
