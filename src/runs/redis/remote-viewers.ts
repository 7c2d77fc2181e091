import type { Subscription } from 'rxjs';
import type { RedisConnection } from '../../redis/redis-connection.js';
import type { LocalRun } from '../local.run.js';
import { LEASE_MS, RENEW_MS } from './journal.js';

interface Held {
  holding: Subscription;
  /** Looks in a row at which nothing new was heard of the other instance. */
  looksInVain: number;
}

/** The first look can come right after what was heard, and a lease lasts at least as long as it says. */
const MAX_LOOKS_IN_VAIN = 1 + LEASE_MS / RENEW_MS;

/**
 * Holds runs of this instance for viewers on others: one subscription for each instance that says it
 * views a run, let go when it says that it left or is not heard of for a lease. While Redis is away
 * nobody can be heard, and all count as present. Looks are counted and not time: an instance that was
 * held up has yet to hear what was said meanwhile.
 */
export class RemoteViewers {
  private readonly held = new Map<string, Held>();
  private readonly looking: NodeJS.Timeout;

  constructor(private readonly redis: RedisConnection) {
    this.looking = setInterval(() => this.look(), RENEW_MS).unref();
  }

  hold(run: LocalRun, instance: string) {
    const key = keyOf(run.id, instance);
    const held = this.held.get(key);
    if (held) held.looksInVain = 0;
    else this.held.set(key, { holding: run.activity.subscribe(), looksInVain: 0 });
  }

  leave(runId: string, instance: string) {
    this.release(keyOf(runId, instance));
  }

  close() {
    clearInterval(this.looking);
  }

  private look() {
    const isHeard = this.redis.isUpFor(LEASE_MS);
    for (const [key, held] of this.held) {
      held.looksInVain = isHeard ? held.looksInVain + 1 : 0;
      if (held.holding.closed || held.looksInVain > MAX_LOOKS_IN_VAIN) this.release(key);
    }
  }

  private release(key: string) {
    this.held.get(key)?.holding.unsubscribe();
    this.held.delete(key);
  }
}

function keyOf(runId: string, instance: string): string {
  return `${runId} ${instance}`;
}
