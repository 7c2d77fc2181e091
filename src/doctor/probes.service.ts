import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Response } from 'express';
import { randomBytes } from 'node:crypto';
import { Subject } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import type { ProbePlan } from './probe.schema.js';
import { Probe } from './probe.js';

/** Probes at once, those that ended lately included. `sluice doctor` makes about ten. */
const MAX_PROBES = 256;
/** Of one owner, so that nobody keeps the others from theirs. */
const MAX_OWN_PROBES = 64;

/** How long it is known of an ended probe when its client left, in milliseconds. */
const KEEP_MS = 60_000;

/** Knows the probes of this process. */
@Injectable()
export class ProbesService implements OnModuleDestroy {
  /** Tells the processes behind a load balancer apart. */
  readonly instance = randomBytes(4).toString('hex');

  private readonly probes = new Map<string, { owner: string; probe: Probe }>();
  private readonly shutdown = new Subject<void>();

  /** @throws {ChatError} `rate_limit_exceeded` or, while the process ends, `shutting_down` */
  start(owner: string, plan: ProbePlan, response: Response) {
    if (this.shutdown.closed) {
      throw new ChatError('shutting_down', 'The server is shutting down. Try again.');
    }
    const own = [...this.probes.values()].filter((one) => one.owner === owner);
    if (this.probes.size >= MAX_PROBES || own.length >= MAX_OWN_PROBES) {
      const message = 'There are too many probes. Try again in a minute.';
      throw new ChatError('rate_limit_exceeded', message, { retryAfterMs: KEEP_MS });
    }
    const key = keyOf(owner, plan.id);
    const entry = { owner, probe: new Probe(response, plan, this.shutdown) };
    this.probes.set(key, entry);
    response.once('close', () => {
      setTimeout(() => {
        // Another may have its id by now.
        if (this.probes.get(key) === entry) this.probes.delete(key);
      }, KEEP_MS).unref();
    });
  }

  /** @throws {ChatError} 404 when another process has it, or nobody */
  find(owner: string, id: string): Probe {
    const entry = this.probes.get(keyOf(owner, id));
    if (entry) return entry.probe;
    throw new ChatError('invalid_request', 'This process has no such probe.', { status: 404 });
  }

  /** A probe is nothing to wait for. */
  onModuleDestroy() {
    this.shutdown.next();
    this.shutdown.unsubscribe();
  }
}

function keyOf(owner: string, id: string): string {
  return JSON.stringify([owner, id]);
}
