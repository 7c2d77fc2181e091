import type { Subscription } from 'rxjs';
import type { RedisConnection } from '../../redis/redis-connection.js';
import type { LocalRun } from '../local.run.js';
import { LEASE_MS } from './journal.js';

/**
 * Holds runs of this instance for viewers on others: one subscription for each instance that says it
 * views a run, let go when it says that it left or is not heard of for a lease. While Redis is away
 * nobody can be heard, and all count as present.
 */
export class RemoteViewers {
  private readonly held = new Map<string, { holding: Subscription; expiry: NodeJS.Timeout }>();

  constructor(private readonly redis: RedisConnection) {}

  hold(run: LocalRun, instance: string) {
    const key = `${run.id} ${instance}`;
    const held = this.held.get(key);
    clearTimeout(held?.expiry);
    const holding = held?.holding ?? run.activity.subscribe();
    if (holding.closed) {
      this.held.delete(key);
      return;
    }
    const expire = () => {
      if (this.redis.isUpFor(LEASE_MS)) this.leave(run.id, instance);
      else this.hold(run, instance);
    };
    this.held.set(key, { holding, expiry: setTimeout(expire, LEASE_MS).unref() });
  }

  leave(runId: string, instance: string) {
    const key = `${runId} ${instance}`;
    const held = this.held.get(key);
    clearTimeout(held?.expiry);
    this.held.delete(key);
    held?.holding.unsubscribe();
  }
}
