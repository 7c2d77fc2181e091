import { lastValueFrom, Observable, share, takeUntil, timer, type Subscriber } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { Draft, Terminal } from '../entry.js';
import { RunLog } from '../run-log.js';
import type { Run, RunState } from '../run.js';
import { decodeEntry } from './entry.codec.js';
import { LEASE_MS, RENEW_MS } from './journal.js';
import type { Keys } from './keys.js';
import { storeUnavailable, type RedisConnection } from './redis-connection.js';
import type { Wishes } from './wishes.js';

/** Entries of one read. */
const MAX_BATCH = 500;

/** How long the instance that generates gets to end a run, in milliseconds. */
const CANCEL_TIMEOUT_MS = 10_000;

/** What Redis knows of a run. */
export interface RemoteMeta {
  owner: string;
  /** The instance that generates it. */
  instance: string;
  choices: number;
  state: RunState;
  /** How many entries Redis has. */
  length: number;
  hasEnded: boolean;
  /** Its instance is gone, and the run with it. */
  isLost: boolean;
}

/**
 * A run that another instance generates, or generated. While it is viewed its log follows the one in
 * Redis: what is published only says that there is more, and reading on from the last entry leaves
 * no gap and no double whatever was missed. The other instance holds the run for us while we say so.
 */
export class RemoteRun implements Run {
  readonly log = new RunLog();
  readonly activity: Observable<Draft>;
  readonly isKept = true;

  private isReading = false;
  private isGrown = false;

  constructor(
    readonly id: string,
    public meta: RemoteMeta,
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    private readonly wishes: Wishes,
  ) {
    this.activity = new Observable<Draft>((subscriber) => this.follow(subscriber)).pipe(
      share({ connector: () => this.log, resetOnComplete: false }),
    );
  }

  get owner(): string {
    return this.meta.owner;
  }

  get choices(): number {
    return this.meta.choices;
  }

  get state(): RunState {
    return this.meta.state;
  }

  locate(seq: number) {
    const { hasEnded, isLost, length } = this.meta;
    // What this instance has not heard of yet can still be there.
    if (!hasEnded && !isLost) return 'within';
    if (seq > length) return 'ahead';
    // The end of a lost run has no number: whoever comes back is told again.
    return seq === length && !isLost ? 'end' : 'within';
  }

  async cancel() {
    if (this.meta.hasEnded || this.meta.isLost) return;
    const { instance } = this.meta;
    const asking = timer(0, RENEW_MS).subscribe(() => {
      this.wishes.send(instance, { kind: 'cancel', runId: this.id });
    });
    const ended = this.activity.pipe(takeUntil(timer(CANCEL_TIMEOUT_MS)));
    await lastValueFrom(ended, { defaultValue: undefined });
    asking.unsubscribe();
    if (!this.log.terminal) throw storeUnavailable();
    await this.refresh();
  }

  private async refresh() {
    const state = await this.redis.ask((redis) => redis.hGet(this.keys.meta(this.id), 'state'));
    if (state) this.meta = { ...this.meta, state: JSON.parse(state) as RunState };
  }

  private follow(subscriber: Subscriber<Draft>) {
    const { id, keys, redis, wishes } = this;
    const { instance } = this.meta;
    const read = () => void this.read(subscriber);
    const look = () => {
      wishes.send(instance, { kind: 'view', runId: id, from: wishes.instance });
      void this.read(subscriber).then(() => this.checkLease(subscriber));
    };
    const unfollow = redis.follow(keys.grown(id), read);
    const looking = setInterval(look, RENEW_MS);
    subscriber.add(() => {
      clearInterval(looking);
      unfollow();
      wishes.send(instance, { kind: 'leave', runId: id, from: wishes.instance });
    });
    look();
  }

  /** Reads what is new, once more if it grew meanwhile. */
  private async read(subscriber: Subscriber<Draft>) {
    this.isGrown = true;
    if (this.isReading) return;
    this.isReading = true;
    while (this.isGrown && !subscriber.closed) {
      this.isGrown = false;
      await this.readBatch(subscriber);
    }
    this.isReading = false;
  }

  private async readBatch(subscriber: Subscriber<Draft>) {
    const from = this.log.entries.length;
    try {
      const key = this.keys.log(this.id);
      const batch = await this.redis.commands.lRange(key, from, from + MAX_BATCH - 1);
      if (subscriber.closed) return;
      for (const json of batch) subscriber.next(decodeEntry(json));
      if (batch.length === MAX_BATCH) this.isGrown = true;
      else if (this.meta.isLost && !this.log.terminal) this.abandon(subscriber);
      if (this.log.terminal) subscriber.complete();
    } catch {
      // Redis is away: the next look reads on from the same entry.
    }
  }

  /** Ends the view of a run whose instance is gone; its lease says so, for long enough. */
  private async checkLease(subscriber: Subscriber<Draft>) {
    if (subscriber.closed || !this.redis.isUpFor(LEASE_MS)) return;
    try {
      const keys = [this.keys.meta(this.id), this.keys.lease(this.id)];
      if ((await this.redis.commands.exists(keys[1]!)) === 1) return;
      const { data } = lost();
      const state = {
        ...this.meta.state,
        status: 'failed',
        error: { code: data.code, message: data.message, retryable: data.retryable },
        ended_at: new Date().toISOString(),
      };
      const isLost = await this.redis.commands.markLost(keys, [JSON.stringify(state)]);
      if (isLost === 1 && this.redis.isUpFor(LEASE_MS)) this.abandon(subscriber);
    } catch {
      // The next look checks again.
    }
  }

  private abandon(subscriber: Subscriber<Draft>) {
    if (subscriber.closed) return;
    this.log.abandon(lost());
    subscriber.complete();
  }
}

function lost(): Terminal & { type: 'error' } {
  const error = new ChatError('run_lost', 'The server that generated this run is gone.');
  const { code, message, retryable } = error;
  return { type: 'error', data: { code, message, retryable, usage: null }, error };
}
