import type { Keys } from './keys.js';
import type { RedisConnection } from '../../redis/redis-connection.js';

/** What an instance wants of the one that generates a run. */
export type Wish =
  /** To have the run held for its viewers; said again and again while there are any. */
  | { kind: 'view' | 'leave'; runId: string; from: string }
  | { kind: 'cancel' | 'forget'; runId: string };

/** Carries wishes between instances. One that gets lost is said again by whoever still has it. */
export class Wishes {
  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    readonly instance: string,
  ) {}

  send(instance: string, wish: Wish) {
    const channel = this.keys.instance(instance);
    this.redis.ask((redis) => redis.publish(channel, JSON.stringify(wish))).catch(() => undefined);
  }

  /** Listens for what others want of this instance. */
  listen(onWish: (wish: Wish) => void) {
    this.redis.follow(this.keys.instance(this.instance), (message) => {
      onWish(JSON.parse(message) as Wish);
    });
  }
}
