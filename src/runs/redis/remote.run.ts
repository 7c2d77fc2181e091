import { lastValueFrom, Observable, share, takeUntil, timer, type Subscriber } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import { storeUnavailable, type RedisConnection } from '../../redis/redis-connection.js';
import { failed, type Draft } from '../entry.js';
import { RunLog } from '../run-log.js';
import type { Run, RunState } from '../run.js';
import { decodeEntry } from './entry.codec.js';
import { MAX_BATCH, RENEW_MS } from './journal.js';
import type { Keys } from './keys.js';
import { runLost, type LostRuns } from './lost-runs.js';
import type { Wishes } from './wishes.js';

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

  constructor(
    readonly id: string,
    public meta: RemoteMeta,
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    private readonly wishes: Wishes,
    private readonly lostRuns: LostRuns,
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

  get model(): string | null {
    return this.meta.state.model;
  }

  get state(): RunState {
    return this.meta.state;
  }

  /** A Redis that is short of memory can drop the log of an ended run and keep the rest. */
  get isKept(): boolean {
    const { hasEnded, length } = this.meta;
    return !hasEnded || length > 0;
  }

  locate(seq: number) {
    const { hasEnded, length } = this.meta;
    // What this instance has not heard of yet can still come. The end of a lost run has no number: whoever
    // comes back is told again. Of a log that was dropped nobody knows how long it was.
    if (!hasEnded || !this.isKept) return 'within';
    if (seq > length) return 'ahead';
    return seq === length ? 'end' : 'within';
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

  /** Ends the view of the run here, whatever becomes of the run. */
  abandon(error: ChatError) {
    if (this.log.terminal) return;
    this.log.abandon(failed(error));
  }

  /** Learns what became of the run since it was found. */
  private async refresh() {
    const [[state, ended], length] = await this.redis.ask((redis) =>
      redis
        .multi()
        .hmGet(this.keys.meta(this.id), ['state', 'ended'])
        .lLen(this.keys.log(this.id))
        .execTyped(),
    );
    if (!state) return;
    const hasEnded = ended !== null;
    this.meta = { ...this.meta, state: JSON.parse(state) as RunState, length, hasEnded };
  }

  private follow(subscriber: Subscriber<Draft>) {
    const { id, keys, redis, wishes } = this;
    const { instance } = this.meta;
    let isReading = false;
    let isGrown = false;
    let looking: NodeJS.Timeout | undefined;
    // Reads what is new, once more if it grew meanwhile.
    const read = async () => {
      isGrown = true;
      if (isReading) return;
      isReading = true;
      while (isGrown && !subscriber.closed) {
        isGrown = false;
        if (await this.readBatch(subscriber)) isGrown = true;
      }
      isReading = false;
    };
    const look = async () => {
      wishes.send(instance, { kind: 'view', runId: id, from: wishes.instance });
      await read();
      if (subscriber.closed) return;
      if (await this.lostRuns.look(this.meta.state)) this.meta = { ...this.meta, isLost: true };
      else await this.refresh().catch(() => undefined);
      if (this.meta.isLost || this.meta.hasEnded) await read();
    };
    const keepLooking = async () => {
      await look();
      if (!subscriber.closed) looking = setTimeout(() => void keepLooking(), RENEW_MS);
    };
    const unfollow = redis.follow(
      keys.grown(id),
      () => void read(),
      () => void read(),
    );
    subscriber.add(() => {
      clearTimeout(looking);
      unfollow();
      wishes.send(instance, { kind: 'leave', runId: id, from: wishes.instance });
    });
    void keepLooking();
  }

  /** @returns whether there can be more to read at once */
  private async readBatch(subscriber: Subscriber<Draft>): Promise<boolean> {
    const { isLost, hasEnded } = this.meta;
    const from = this.log.entries.length;
    try {
      const key = this.keys.log(this.id);
      const batch = await this.redis.commands.lRange(key, from, from + MAX_BATCH - 1);
      if (subscriber.closed) return false;
      for (const json of batch) {
        subscriber.next(decodeEntry(json, this.log.entries.at(-1)));
      }
      if (isLost && batch.length === 0) this.abandon(runLost());
      else if (hasEnded && batch.length === 0) this.abandon(notKept());
      if (this.log.terminal) subscriber.complete();
      return isLost || hasEnded || batch.length === MAX_BATCH;
    } catch {
      // Redis is away: the next look reads on from the same entry.
      return false;
    }
  }
}

function notKept(): ChatError {
  return new ChatError('resume_gap', "The run's events are no longer kept.");
}
