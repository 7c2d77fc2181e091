import { setTimeout as sleep } from 'node:timers/promises';
import { ChatError } from '../../errors/chat-error.js';
import type { RedisConnection } from '../../redis/redis-connection.js';
import type { RunState } from '../run.js';
import { LEASE_MS, RENEW_MS } from './journal.js';
import type { Keys } from './keys.js';
import { MARK_LOST } from './scripts.js';

/**
 * So many looks in a row find no lease of a run that is lost. One that lives can let it run out, when
 * it was held up together with Redis or a clock was set, but renews it before the next look.
 */
const LOOKS_IN_VAIN = 2;

/** What clients of a lost run are asked to wait before they try again, in milliseconds. */
const RETRY_AFTER_MS = 1_000;

/** Finds the runs that are lost: those whose instance is gone. */
export class LostRuns {
  /** Runs that are looked for now, by their ids. */
  private readonly looking = new Map<string, Promise<boolean>>();

  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
  ) {}

  /**
   * Looks for the lease of a run that has not ended. Where there is none it looks again a renewal
   * later, and then marks the run as lost.
   * @returns whether the run is lost; false also where Redis can't tell
   */
  look(state: RunState): Promise<boolean> {
    const { id } = state;
    let looking = this.looking.get(id);
    if (!looking) {
      looking = this.lookTwice(state).finally(() => this.looking.delete(id));
      this.looking.set(id, looking);
    }
    return looking;
  }

  private async lookTwice(state: RunState): Promise<boolean> {
    for (let looks = 1; await this.isUnleased(state.id); looks += 1) {
      if (looks === LOOKS_IN_VAIN) return this.mark(state);
      await sleep(RENEW_MS, undefined, { ref: false });
    }
    return false;
  }

  /** Whether no lease says that the instance lives, in a Redis that it has had the time to tell. */
  private async isUnleased(id: string): Promise<boolean> {
    if (!this.redis.isUpFor(LEASE_MS)) return false;
    try {
      return (await this.redis.ask((redis) => redis.exists(this.keys.lease(id)))) === 0;
    } catch {
      return false;
    }
  }

  /** Marks the run as lost, unless it has ended or its lease is there after all. */
  private async mark(before: RunState): Promise<boolean> {
    const { code, message, retryable } = runLost();
    const state: RunState = {
      ...before,
      status: 'failed',
      finish_reason: null,
      error: { code, message, retryable },
      ended_at: new Date().toISOString(),
    };
    try {
      const keys = [this.keys.meta(state.id), this.keys.lease(state.id)];
      const isLost = await this.redis.ask((redis) =>
        MARK_LOST.run(redis, keys, [JSON.stringify(state)]),
      );
      // The answer can be that of a Redis that came back empty.
      return isLost === 1 && this.redis.isUpFor(LEASE_MS);
    } catch {
      return false;
    }
  }
}

export function runLost(): ChatError {
  return new ChatError('run_lost', 'The server that generated this run is gone.', {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
