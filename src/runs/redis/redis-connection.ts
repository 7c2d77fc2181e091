import { Logger } from '@nestjs/common';
import { createClient } from '@redis/client';
import { ChatError } from '../../errors/chat-error.js';
import { scripts } from './scripts.js';

/** How long a request waits for Redis before it is refused, in milliseconds. */
const COMMAND_TIMEOUT_MS = 2_000;

const PING_INTERVAL_MS = 500;
const PING_TIMEOUT_MS = 1_000;
const MAX_RECONNECT_MS = 500;

type Client = ReturnType<typeof createScriptClient>;

/**
 * Redis over two connections, one of them for what it publishes. They reconnect for ever, and while
 * they are down commands fail at once. Pings tell how long Redis has been good: one that hangs is
 * away like one that refuses.
 */
export class RedisConnection {
  readonly commands: Client;

  private readonly subscriber: Client;
  private readonly logger = new Logger('Redis');
  /** What waits for Redis to be told that a channel is followed. */
  private readonly waiting = new Set<() => void>();
  private upSince?: number;
  private hasBroken = false;
  private watching?: NodeJS.Timeout;
  private isClosed = false;

  constructor(url: string) {
    this.commands = createScriptClient(url);
    this.subscriber = this.commands.duplicate();
    for (const client of [this.commands, this.subscriber]) {
      client.on('error', () => this.down());
      // Redis may be away at boot: the client goes on trying.
      client.connect().catch(() => undefined);
    }
    void this.watch();
  }

  get isUp(): boolean {
    return this.upSince !== undefined;
  }

  /** Whether Redis has answered without a break for so long, in milliseconds. */
  isUpFor(ms: number): boolean {
    return this.upSince !== undefined && performance.now() - this.upSince >= ms;
  }

  /** Whether Redis came back less than `ms` ago, and others may not have told it all they know. */
  isRecovering(ms: number): boolean {
    return this.hasBroken && !this.isUpFor(ms);
  }

  /**
   * The reply to a command that a request waits for.
   * @throws {ChatError} `store_unavailable` when Redis is away, hangs or refuses
   */
  async ask<T>(command: (client: Client) => Promise<T>): Promise<T> {
    try {
      return await within(COMMAND_TIMEOUT_MS, command(this.commands));
    } catch (cause) {
      throw storeUnavailable(cause);
    }
  }

  /**
   * Calls back for every message of a channel, from as soon as Redis can be told.
   * @returns what ends it
   */
  follow(channel: string, onMessage: (message: string) => void): () => void {
    const subscribe = () => {
      this.subscriber.subscribe(channel, onMessage).then(
        () => this.waiting.delete(subscribe),
        () => this.waiting.add(subscribe),
      );
    };
    subscribe();
    return () => {
      this.waiting.delete(subscribe);
      this.subscriber.unsubscribe(channel, onMessage).catch(() => undefined);
    };
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.watching);
    for (const client of [this.commands, this.subscriber]) {
      if (client.isOpen) client.destroy();
    }
  }

  private async watch() {
    try {
      await within(PING_TIMEOUT_MS, Promise.all([this.commands.ping(), this.subscriber.ping()]));
      if (!this.isUp) this.up();
    } catch {
      this.down();
    }
    if (this.isClosed) return;
    this.watching = setTimeout(() => void this.watch(), PING_INTERVAL_MS).unref();
  }

  private up() {
    this.logger.log('connected');
    this.upSince = performance.now();
    for (const subscribe of this.waiting) subscribe();
  }

  private down() {
    if (!this.isUp) return;
    this.logger.warn('away: runs go on, and can be resumed on their own instance alone');
    this.upSince = undefined;
    this.hasBroken = true;
  }
}

export function storeUnavailable(cause?: unknown): ChatError {
  return new ChatError('store_unavailable', 'The run store is not available.', {
    retryAfterMs: 2_000,
    cause,
  });
}

function createScriptClient(url: string) {
  return createClient({
    url,
    scripts,
    disableOfflineQueue: true,
    socket: {
      connectTimeout: COMMAND_TIMEOUT_MS,
      reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, MAX_RECONNECT_MS),
    },
  });
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no reply within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
