import { filter, firstValueFrom, Subject, Subscription } from 'rxjs';
import type { RedisConnection } from '../../redis/redis-connection.js';
import type { Entry } from '../entry.js';
import type { LocalRun } from '../local.run.js';
import type { ChatLink, Claim } from '../run-store.js';
import type { RunState } from '../run.js';
import { encodeEntry } from './entry.codec.js';
import { listed, type Keys } from './keys.js';
import { APPEND, FENCED, UNKNOWN_RUN } from './scripts.js';

/** How long an instance that says nothing is thought to live, in milliseconds. */
export const LEASE_MS = 5_000;

/** How often an instance says that it lives, in milliseconds. */
export const RENEW_MS = 1_500;

/** Entries are gathered for so long, which makes batches and delays only viewers elsewhere. */
export const GATHER_MS = 100;

/** Entries of one write, or of one read. */
export const MAX_BATCH = 500;

/** A write has about so much, in characters: what says that runs live waits behind it. */
export const MAX_BATCH_LENGTH = 262_144;

interface Journaled {
  run: LocalRun;
  introduced: Promise<void>;
  /** Entries that Redis has. */
  written: number;
  isWriting: boolean;
  /** What says of a name that this is its run, by that name. It lives as long as the run. */
  names: Map<string, Claim | ChatLink>;
}

/**
 * Writes the runs of this instance to Redis, behind their backs: no run and no viewer of it waits.
 * While Redis is away the runs' own logs keep what is to be written.
 */
export class Journal {
  private readonly journaled = new Map<string, Journaled>();
  private readonly dirty = new Set<Journaled>();
  /** What is being written, and is to be renewed when that is done. */
  private readonly due = new Set<Journaled>();
  /** Ids of runs that are done with. */
  private readonly left = new Subject<string>();
  private gathering?: NodeJS.Timeout;
  private readonly renewing = new Subscription();

  /** @param isKept whether a run that has ended is still worth writing */
  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    private readonly instance: string,
    private readonly retentionMs: number,
    private readonly isKept: (runId: string) => boolean,
  ) {
    const timer = setInterval(() => this.renew(), RENEW_MS).unref();
    this.renewing.add(() => clearInterval(timer));
    // While Redis was away leases can have run out, which others find out as soon as it is back.
    this.renewing.add(this.redis.ups.subscribe(() => this.renew()));
  }

  add(run: LocalRun) {
    const introduced = this.introduce(run);
    // The first write introduces it otherwise.
    introduced.catch(() => undefined);
    const names = new Map<string, Claim | ChatLink>();
    const journaled: Journaled = { run, introduced, written: 0, isWriting: false, names };
    this.journaled.set(run.id, journaled);
    run.log.subscribe({ next: () => this.gather(journaled) });
    // Who comes back with its key, or to its chat, is not to wait until the tokens are counted.
    run.stopped.subscribe(() => void this.write(journaled, true));
  }

  /** Resolves when Redis knows of the run; rejects when it could not be told. */
  async introduced(runId: string): Promise<void> {
    await this.journaled.get(runId)?.introduced;
  }

  /** Resolves when Redis has the end of a run, or will never get it. */
  async settled(runId: string): Promise<void> {
    if (!this.journaled.has(runId)) return;
    await firstValueFrom(this.left.pipe(filter((id) => id === runId)), { defaultValue: runId });
  }

  /** Forgets a run. What Redis has of it is the caller's to delete. */
  remove(runId: string) {
    const journaled = this.journaled.get(runId);
    if (!journaled) return;
    this.journaled.delete(runId);
    this.dirty.delete(journaled);
    this.due.delete(journaled);
    this.left.next(runId);
  }

  /** Keeps in Redis what is kept there of a run under another name. */
  hold(name: string, value: Claim | ChatLink) {
    this.journaled.get(value.runId)?.names.set(name, value);
  }

  /** Runs whose end is not in Redis yet. */
  get size(): number {
    return this.journaled.size;
  }

  close() {
    this.renewing.unsubscribe();
    clearTimeout(this.gathering);
    this.left.complete();
  }

  private gather(journaled: Journaled) {
    if (this.dirty.has(journaled) || !this.journaled.has(journaled.run.id)) return;
    this.dirty.add(journaled);
    this.gathering ??= setTimeout(() => {
      this.gathering = undefined;
      const dirty = [...this.dirty];
      this.dirty.clear();
      for (const each of dirty) void this.write(each);
    }, GATHER_MS);
  }

  private renew() {
    for (const journaled of this.journaled.values()) {
      const { id, log } = journaled.run;
      // What waits for Redis to come back is not kept for that alone.
      if (log.terminal && !this.redis.isUp && !this.isKept(id)) this.remove(id);
      else void this.write(journaled, true);
    }
  }

  /** Tells Redis of a run: who owns it, who generates it. */
  private async introduce({ id, owner, choices, state }: LocalRun): Promise<void> {
    const meta = {
      owner,
      instance: this.instance,
      choices: String(choices),
      state: JSON.stringify(state),
    };
    await Promise.all([
      this.redis.commands
        .multi()
        .hSet(this.keys.meta(id), meta)
        .pExpire(this.keys.meta(id), this.retentionMs)
        .set(this.keys.lease(id), this.instance, { expiration: { type: 'PX', value: LEASE_MS } })
        .exec(),
      this.list(owner, state),
    ]);
  }

  /** Notes that an owner's run is there, and drops those that are not heard of any more. */
  private async list(owner: string, state: RunState): Promise<void> {
    const runs = this.keys.runsOf(owner);
    const now = Date.now();
    await this.redis.commands
      .multi()
      .zAdd(runs, { score: now, value: listed(state) })
      .zRemRangeByScore(runs, '-inf', now - this.retentionMs)
      .pExpire(runs, this.retentionMs)
      .exec();
  }

  /** @param isRenewal whether to say all that expires once more */
  private async write(journaled: Journaled, isRenewal = false): Promise<void> {
    const { run, written } = journaled;
    if (!this.redis.isUp || !this.journaled.has(run.id)) return;
    if (journaled.isWriting) {
      if (isRenewal) this.due.add(journaled);
      return;
    }
    journaled.isWriting = true;
    this.due.delete(journaled);
    try {
      const { entries, terminal } = run.log;
      const batch = encodeBatch(entries, written);
      const isLast = terminal !== undefined && written + batch.length === entries.length;
      const isWhole = isLast || isRenewal || written === 0;
      const state = isWhole ? JSON.stringify(run.state) : '';
      const [length] = await Promise.all([
        this.append(journaled, batch, state, isLast),
        isWhole && this.list(run.owner, run.state),
        isWhole && this.renewNames(journaled),
      ]);
      if (!this.journaled.has(run.id)) return;
      if (length === UNKNOWN_RUN) await this.introduce(run);
      // Redis can have lost what was written, and then gets it again.
      journaled.written = Math.max(0, length);
      if (length === FENCED || (isLast && length === entries.length)) this.remove(run.id);
    } catch {
      // The renewal tries again, but nothing that has ended is kept for that alone.
      if (run.log.terminal && !this.isKept(run.id)) this.remove(run.id);
      return;
    } finally {
      journaled.isWriting = false;
    }
    if (this.due.has(journaled)) void this.write(journaled, true);
    else if (journaled.written < run.log.entries.length) this.gather(journaled);
  }

  private append(
    { run, written }: Journaled,
    entries: string[],
    state: string,
    isLast: boolean,
  ): Promise<number> {
    const { keys } = this;
    return APPEND.run(
      this.redis.commands,
      [keys.meta(run.id), keys.log(run.id), keys.lease(run.id)],
      [
        this.instance,
        String(LEASE_MS),
        String(this.retentionMs),
        keys.grown(run.id),
        state,
        isLast ? '1' : '',
        String(written),
        ...entries,
      ],
    );
  }

  /** A Redis that came back empty is told of a run's names again. */
  private async renewNames({ names }: Journaled): Promise<void> {
    const renewals = [...names].map(([name, value]) =>
      this.redis.commands
        .multi()
        .set(name, JSON.stringify(value), { condition: 'NX' })
        .pExpire(name, this.retentionMs)
        .exec(),
    );
    await Promise.all(renewals);
  }
}

function encodeBatch(entries: readonly Entry[], from: number): string[] {
  const batch: string[] = [];
  let length = 0;
  for (const [index, entry] of entries.slice(from, from + MAX_BATCH).entries()) {
    const json = encodeEntry(entry, entries[from + index - 1]);
    batch.push(json);
    length += json.length;
    if (length >= MAX_BATCH_LENGTH) break;
  }
  return batch;
}
