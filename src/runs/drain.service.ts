import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONFIG, type Config } from '../config/config.js';
import { ChatError } from '../errors/chat-error.js';
import { whenOver } from '../http/when-over.js';
import { RUN_STORE, type RunStore } from './run-store.js';

/** How often a drain looks whether something is left, in milliseconds. */
const LOOK_MS = 25;

/** How long the last bytes get to leave, in milliseconds. */
const FLUSH_MS = 1_000;

/** What clients are asked to wait before they try again, in milliseconds. */
const RETRY_AFTER_MS = 2_000;

/**
 * Ends the process without cutting anybody off. First requests are still served while load balancers
 * learn of it, then nothing new starts and what runs may end, and at last what remains is told.
 */
@Injectable()
export class DrainService implements BeforeApplicationShutdown {
  private phase: 'open' | 'leaving' | 'closed' = 'open';
  private readonly responses = new Set<Response>();

  constructor(
    @Inject(RUN_STORE) private readonly store: RunStore,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Whether the process was asked to end. */
  get isLeaving(): boolean {
    return this.phase !== 'open';
  }

  /** @throws {ChatError} `shutting_down` once nothing new may start */
  expectOpen() {
    if (this.phase === 'closed') throw shuttingDown();
  }

  /** Middleware that knows which responses are under way. */
  track(request: Request, response: Response, next: NextFunction) {
    if (this.isLeaving) response.setHeader('Connection', 'close');
    this.responses.add(response);
    whenOver(request, response, () => this.responses.delete(response));
    response.on('finish', () => {
      // Nest calls the connection of an event stream keep-alive, whatever was agreed.
      const isLast = this.isLeaving || request.headers.connection?.toLowerCase() === 'close';
      if (isLast) request.socket.end();
    });
    next();
  }

  /** @param signal what asked for it: SIGTERM gets all the time there is, nothing gets none */
  async beforeApplicationShutdown(signal?: string) {
    this.phase = 'leaving';
    const hurry = new AbortController();
    if (signal === undefined) hurry.abort();
    else for (const name of ['SIGTERM', 'SIGINT']) process.once(name, () => hurry.abort());

    if (signal === 'SIGTERM') await pause(this.config.SHUTDOWN_DELAY_MS, hurry.signal);
    this.phase = 'closed';
    const isDrained = () => this.responses.size === 0 && this.store.live().length === 0;
    await until(isDrained, this.config.SHUTDOWN_DRAIN_MS, hurry.signal);

    await Promise.all(this.store.live().map((run) => run.fail(shuttingDown())));
    this.store.abandonViews(shuttingDown());
    await until(() => this.responses.size === 0, FLUSH_MS);
  }
}

async function until(condition: () => boolean, ms: number, signal?: AbortSignal) {
  const deadline = performance.now() + ms;
  while (!condition() && performance.now() < deadline && !signal?.aborted) {
    await pause(LOOK_MS, signal);
  }
}

async function pause(ms: number, signal?: AbortSignal) {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}

function shuttingDown() {
  return new ChatError('shutting_down', 'The server is shutting down. Try again.', {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
