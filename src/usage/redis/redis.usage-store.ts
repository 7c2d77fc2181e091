import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection } from '../../redis/redis-connection.js';
import { Script } from '../../redis/script.js';
import {
  addCounts,
  COUNTERS,
  MAX_MODELS,
  noCounts,
  OTHER,
  RETENTION_DAYS,
  type Counts,
  type Day,
  type UsageRow,
  type UsageStore,
} from '../usage-store.js';

const RETENTION_SECONDS = RETENTION_DAYS * 24 * 60 * 60;

const RETRY_MS = 1_000;

/** Rows that may wait for a Redis that is away; runs of the same day, owner and model share one. */
const MAX_WAITING = 10_000;

/** How long the last rows get to be written at shutdown, in milliseconds. */
const FLUSH_MS = 1_000;

/**
 * Adds a batch to an owner's day, once: a writer's batches are numbered, and one whose reply was lost
 * comes again under its number.
 *
 * KEYS the day. ARGV writer, number, seconds to keep it, most models, then counter, model, count… of
 * which a model's runs are the first.
 */
const ADD = new Script(
  `local writer = 'writer ' .. ARGV[1]
  if tonumber(ARGV[2]) <= tonumber(redis.call('HGET', KEYS[1], writer) or 0) then return 0 end
  redis.call('HSET', KEYS[1], writer, ARGV[2])
  for i = 5, #ARGV, 3 do
    local counter, model = ARGV[i], ARGV[i + 1]
    if redis.call('HEXISTS', KEYS[1], 'runs ' .. model) == 0 then
      local models = tonumber(redis.call('HGET', KEYS[1], 'models') or 0)
      if counter == 'runs' and models < tonumber(ARGV[4]) then
        redis.call('HINCRBY', KEYS[1], 'models', 1)
      else
        model = '${OTHER}'
      end
    end
    redis.call('HINCRBY', KEYS[1], counter .. ' ' .. model, ARGV[i + 2])
  end
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  return 1`,
);

type Batch = Map<string, Counts>;

/** What is to be written to one key: what was sent and not answered yet, and what came since. */
interface Waiting {
  sent?: { number: number; batch: Batch };
  next: Batch;
  isWriting: boolean;
}

/** The usage of all instances that share a Redis: a hash an owner and day, by counter and model. */
export class RedisUsageStore implements UsageStore, OnApplicationShutdown {
  private readonly logger = new Logger('Usage');
  private readonly writer = randomUUID();
  private lastNumber = 0;
  private readonly waiting = new Map<string, Waiting>();
  private rows = 0;
  private retrying?: NodeJS.Timeout;

  constructor(
    private readonly redis: RedisConnection,
    private readonly maxWaiting = MAX_WAITING,
  ) {}

  add(owner: string, day: Day, model: string, counts: Counts) {
    const key = this.keyOf(owner, day);
    const waiting = this.waiting.get(key) ?? { next: new Map<string, Counts>(), isWriting: false };
    let row = waiting.next.get(model);
    if (!row) {
      if (this.rows >= this.maxWaiting) {
        this.logger.error('Redis was away for too long: the usage of a run is lost');
        return;
      }
      this.rows += 1;
      waiting.next.set(model, (row = noCounts()));
    }
    addCounts(row, counts);
    this.waiting.set(key, waiting);
    void this.write(key, waiting);
  }

  async read(owner: string, days: readonly Day[]): Promise<UsageRow[]> {
    const hashes = await this.redis.ask((redis) =>
      Promise.all(days.map((day) => redis.hGetAll(this.keyOf(owner, day)))),
    );
    return hashes.flatMap((hash, index) => rowsOf(days[index]!, hash));
  }

  async onApplicationShutdown() {
    const deadline = performance.now() + FLUSH_MS;
    while (this.waiting.size > 0 && this.redis.isUp && performance.now() < deadline) {
      await sleep(10);
    }
    clearTimeout(this.retrying);
  }

  private async write(key: string, waiting: Waiting): Promise<void> {
    if (waiting.isWriting) return;
    waiting.isWriting = true;
    try {
      while (waiting.sent ?? waiting.next.size > 0) {
        const sent = (waiting.sent ??= { number: (this.lastNumber += 1), batch: waiting.next });
        if (waiting.next === sent.batch) waiting.next = new Map();
        await ADD.run(this.redis.commands, [key], this.argumentsOf(sent));
        waiting.sent = undefined;
        this.rows -= sent.batch.size;
      }
      this.waiting.delete(key);
    } catch {
      this.retrying ??= setTimeout(() => this.retry(), RETRY_MS).unref();
    } finally {
      waiting.isWriting = false;
    }
  }

  private retry() {
    this.retrying = undefined;
    for (const [key, waiting] of this.waiting) void this.write(key, waiting);
  }

  private argumentsOf({ number, batch }: NonNullable<Waiting['sent']>): string[] {
    const counts = [...batch].flatMap(([model, row]) =>
      COUNTERS.filter((counter) => row[counter] > 0).flatMap((counter) => [
        counter,
        model,
        String(row[counter]),
      ]),
    );
    return [this.writer, String(number), String(RETENTION_SECONDS), String(MAX_MODELS), ...counts];
  }

  private keyOf(owner: string, day: Day): string {
    const digest = createHash('sha256').update(owner).digest('base64url');
    return `${this.redis.prefix}usage:{${digest}}:${day}`;
  }
}

function rowsOf(date: Day, hash: Record<string, string>): UsageRow[] {
  const rows = new Map<string, UsageRow>();
  for (const [field, count] of Object.entries(hash)) {
    const space = field.indexOf(' ');
    const counter = COUNTERS.find((name) => name === field.slice(0, space));
    if (!counter) continue;
    const model = field.slice(space + 1);
    const row = rows.get(model) ?? { date, model, ...noCounts() };
    row[counter] = Number(count);
    rows.set(model, row);
  }
  return [...rows.values()];
}
