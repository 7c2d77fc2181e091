import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { createClient } from '@redis/client';
import { once } from 'node:events';
import { Subject } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';

/** How long a request waits for Redis before it is refused, in milliseconds. */
const COMMAND_TIMEOUT_MS = 2_000;

const PROBE_INTERVAL_MS = 500;
const PROBE_TIMEOUT_MS = 1_000;

/** A connection on which nothing moves for so long is given up, in milliseconds. */
const SILENCE_MS = 5_000;

const MAX_RECONNECT_MS = 500;

export type RedisClient = ReturnType<typeof createRedisClient>;

/** The connection that all of an instance share; undefined where there is no Redis. */
export const REDIS = Symbol('REDIS');

/**
 * Redis over two connections, one of them for what it publishes. They reconnect for ever, and while
 * they are down commands fail at once. Probes tell how long Redis has been good: one that hangs, or
 * takes no writes, is away like one that refuses.
 */
export class RedisConnection implements OnModuleInit, OnApplicationShutdown {
  private readonly client: RedisClient;
  private readonly subscriber: RedisClient;
  private readonly logger = new Logger('Redis');
  /** Emits whenever Redis is there, or there again. */
  readonly ups = new Subject<void>();
  /** What waits for Redis to be told that a channel is followed, or no longer. */
  private readonly waiting = new Set<() => void>();
  private upSince?: number;
  /** Whether it was said that Redis is away. */
  private isKnownAway = false;
  private isSilent = false;
  private hasBroken = false;
  private watching?: NodeJS.Timeout;
  private isClosed = false;

  private readonly probeKey: string;

  /** @param prefix goes in front of every name in Redis */
  constructor(
    url: string,
    readonly prefix: string,
  ) {
    // Never written.
    this.probeKey = `${prefix}probe`;
    this.client = createRedisClient(url);
    this.subscriber = this.client.duplicate();
    for (const client of [this.client, this.subscriber]) {
      client.on('error', (error) => {
        this.hasBroken = true;
        this.down(error);
      });
    }
  }

  /** Resolves when Redis is there, or soon: it may be away at boot, and is tried for ever. */
  async onModuleInit() {
    const clients = [this.client, this.subscriber];
    const ready = Promise.all(clients.map((client) => once(client, 'ready')));
    for (const client of clients) client.connect().catch(() => undefined);
    await within(COMMAND_TIMEOUT_MS, ready).catch(() => undefined);
    await this.watch();
  }

  /** @throws {ChatError} `store_unavailable` at once when Redis does not answer */
  get commands(): RedisClient {
    if (this.isSilent) throw storeUnavailable();
    return this.client;
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
  async ask<T>(command: (client: RedisClient) => Promise<T>): Promise<T> {
    try {
      return await within(COMMAND_TIMEOUT_MS, command(this.commands));
    } catch (cause) {
      throw storeUnavailable(cause);
    }
  }

  /**
   * Calls back for every message of a channel, from as soon as Redis can be told.
   * @param onFollowed hears when that is: messages before it were missed
   * @returns what ends it
   */
  follow(
    channel: string,
    onMessage: (message: string) => void,
    onFollowed?: () => void,
  ): () => void {
    let isFollowed = true;
    const tell = () => {
      if (this.isSilent) {
        this.waiting.add(tell);
        return;
      }
      const telling = isFollowed
        ? this.subscriber.subscribe(channel, onMessage)
        : this.subscriber.unsubscribe(channel, onMessage);
      telling.then(
        () => {
          this.waiting.delete(tell);
          if (isFollowed) onFollowed?.();
        },
        // The client would go on following what it could not leave.
        () => this.waiting.add(tell),
      );
    };
    tell();
    return () => {
      isFollowed = false;
      tell();
    };
  }

  /** Nest shuts its global modules down last, when nobody has anything to say to Redis any more. */
  onApplicationShutdown() {
    this.isClosed = true;
    this.upSince = undefined;
    clearTimeout(this.watching);
    for (const client of [this.client, this.subscriber]) {
      if (client.isOpen) client.destroy();
    }
  }

  private async watch(): Promise<void> {
    const probes = [
      // Writes nothing, but is refused by a replica and by a Redis that is full.
      this.client.setRange(this.probeKey, 0, ''),
      this.subscriber.ping(),
    ];
    try {
      await within(PROBE_TIMEOUT_MS, Promise.all(probes));
      this.up();
    } catch (error) {
      this.down(error);
      // Nothing more is sent into the silence, or the sockets would not time out.
      this.isSilent = true;
      await Promise.allSettled(probes);
      this.isSilent = false;
    }
    if (this.isClosed) return;
    this.watching = setTimeout(() => void this.watch(), PROBE_INTERVAL_MS).unref();
  }

  private up() {
    if (this.isUp || this.isClosed) return;
    this.logger.log('connected');
    this.isKnownAway = false;
    this.upSince = performance.now();
    for (const tell of this.waiting) tell();
    this.ups.next();
  }

  private down(error: unknown) {
    if (this.isKnownAway || this.isClosed) return;
    this.isKnownAway = true;
    const { code, message } = error as NodeJS.ErrnoException;
    const what = 'runs go on, and can be resumed on their own instance alone';
    this.logger.warn(`away (${code ?? message}): ${what}`);
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

function createRedisClient(url: string) {
  return createClient({
    url,
    disableOfflineQueue: true,
    // No timer for each: what was not sent fails with its connection, which ends when it is silent.
    commandOptions: { timeout: undefined },
    socket: {
      connectTimeout: COMMAND_TIMEOUT_MS,
      socketTimeout: SILENCE_MS,
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
