import type { RedisConnection } from '../../redis/redis-connection.js';
import { MemoryTicketStore } from './memory.ticket-store.js';
import type { TicketRecord, TicketStore } from './ticket.store.js';

/**
 * The tickets of all instances that share a Redis. While it is away, those that this instance knows of
 * are found all the same, and in one that came back empty those that are in use here: what they view
 * may be generated here.
 */
export class RedisTicketStore implements TicketStore {
  private readonly local = new MemoryTicketStore();

  constructor(private readonly redis: RedisConnection) {}

  async put(id: string, record: TicketRecord, ms: number): Promise<void> {
    await this.local.put(id, record, ms);
    await this.redis.ask((redis) =>
      redis.set(this.keyOf(id), JSON.stringify(record), {
        expiration: { type: 'PX', value: Math.ceil(ms) },
      }),
    );
  }

  async find(id: string): Promise<TicketRecord | undefined> {
    try {
      const json = await this.redis.ask((redis) => redis.get(this.keyOf(id)));
      if (json) return JSON.parse(json) as TicketRecord;
      // Redis may have lost it. What is not in use here can be used up elsewhere by now.
      const local = await this.local.find(id);
      return local?.runId === undefined ? undefined : local;
    } catch (error) {
      const local = await this.local.find(id);
      if (local) return local;
      throw error;
    }
  }

  private keyOf(id: string): string {
    return `${this.redis.prefix}ticket:{${id}}`;
  }
}
