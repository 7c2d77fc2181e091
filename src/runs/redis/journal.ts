import type { LocalRun } from '../local.run.js';
import { encodeEntry } from './entry.codec.js';
import type { Keys } from './keys.js';
import type { RedisConnection } from './redis-connection.js';
import { FENCED, UNKNOWN_RUN } from './scripts.js';

/** How long an instance that says nothing is thought to live, in milliseconds. */
export const LEASE_MS = 5_000;

/** How often an instance says that it lives, in milliseconds. */
export const RENEW_MS = 1_500;

/** Entries are gathered for so long, which makes batches and delays only viewers elsewhere. */
const GATHER_MS = 50;

/** Entries of one write. */
const MAX_BATCH = 500;

interface Journaled {
  run: LocalRun;
  introduced: Promise<void>;
  /** Entries that Redis has. */
  written: number;
  isWriting: boolean;
  /** The key that the run was claimed with, which lives as long as the run. */
  claim?: string;
}

/**
 * Writes the runs of this instance to Redis, behind their backs: no run and no viewer of it waits.
 * While Redis is away the runs' own logs keep what is to be written.
 */
export class Journal {
  private readonly journaled = new Map<string, Journaled>();
  private readonly dirty = new Set<Journaled>();
  private gathering?: NodeJS.Timeout;
  private readonly renewing: NodeJS.Timeout;

  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    private readonly instance: string,
    private readonly retentionMs: number,
  ) {
    this.renewing = setInterval(() => this.renew(), RENEW_MS).unref();
  }

  add(run: LocalRun) {
    const introduced = this.introduce(run);
    // The first write introduces it otherwise.
    introduced.catch(() => undefined);
    const journaled: Journaled = { run, introduced, written: 0, isWriting: false };
    this.journaled.set(run.id, journaled);
    run.log.subscribe({ next: () => this.gather(journaled) });
  }

  /** Resolves when Redis knows of the run; rejects when it could not be told. */
  async introduced(runId: string): Promise<void> {
    await this.journaled.get(runId)?.introduced;
  }

  /** Forgets a run. What Redis has of it is the caller's to delete. */
  remove(runId: string) {
    const journaled = this.journaled.get(runId);
    this.journaled.delete(runId);
    if (journaled) this.dirty.delete(journaled);
  }

  holdClaim(runId: string, claim: string) {
    const journaled = this.journaled.get(runId);
    if (journaled) journaled.claim = claim;
  }

  /** Runs whose end is not in Redis yet. */
  get size(): number {
    return this.journaled.size;
  }

  close() {
    clearInterval(this.renewing);
    clearTimeout(this.gathering);
  }

  private gather(journaled: Journaled) {
    if (!this.journaled.has(journaled.run.id)) return;
    this.dirty.add(journaled);
    this.gathering ??= setTimeout(() => {
      this.gathering = undefined;
      const dirty = [...this.dirty];
      this.dirty.clear();
      for (const each of dirty) void this.write(each);
    }, GATHER_MS);
  }

  private renew() {
    for (const journaled of this.journaled.values()) void this.write(journaled, true);
  }

  /** Tells Redis of a run: who owns it, who generates it. */
  private async introduce({ id, owner, choices, state }: LocalRun): Promise<void> {
    const meta = {
      owner,
      instance: this.instance,
      choices: String(choices),
      state: JSON.stringify(state),
    };
    const runs = this.keys.runsOf(owner);
    await Promise.all([
      this.redis.commands
        .multi()
        .hSet(this.keys.meta(id), meta)
        .pExpire(this.keys.meta(id), this.retentionMs)
        .set(this.keys.lease(id), this.instance, { PX: LEASE_MS })
        .exec(),
      this.redis.commands
        .multi()
        .zAdd(runs, { score: Date.parse(state.created_at), value: id })
        .pExpire(runs, this.retentionMs)
        .exec(),
    ]);
  }

  /** @param isRenewal whether the run's state goes along */
  private async write(journaled: Journaled, isRenewal = false): Promise<void> {
    const { run } = journaled;
    if (journaled.isWriting || !this.redis.isUp) return;
    journaled.isWriting = true;
    try {
      const { entries, terminal } = run.log;
      const batch = entries.slice(journaled.written, journaled.written + MAX_BATCH);
      const isLast = terminal !== undefined && journaled.written + batch.length === entries.length;
      const state = isLast || isRenewal ? JSON.stringify(run.state) : '';
      const length = await this.append(journaled, batch.map(encodeEntry), state, isLast);
      if (length === FENCED) {
        this.remove(run.id);
        return;
      }
      if (length === UNKNOWN_RUN) await this.introduce(run);
      // Redis can have lost what was written, and then gets it again.
      journaled.written = Math.max(0, length);
      if (isLast && length === entries.length) {
        this.remove(run.id);
        return;
      }
    } catch {
      // The renewal tries again.
      return;
    } finally {
      journaled.isWriting = false;
    }
    if (journaled.written < run.log.entries.length) this.gather(journaled);
  }

  private async append(
    { run, written, claim }: Journaled,
    entries: string[],
    state: string,
    isLast: boolean,
  ): Promise<number> {
    const { keys, redis, retentionMs } = this;
    const [length] = await Promise.all([
      redis.commands.append(
        [keys.meta(run.id), keys.log(run.id), keys.lease(run.id)],
        [
          this.instance,
          String(LEASE_MS),
          String(retentionMs),
          keys.grown(run.id),
          state,
          isLast ? '1' : '',
          String(written),
          ...entries,
        ],
      ),
      claim && redis.commands.pExpire(claim, retentionMs),
    ]);
    return length;
  }
}
