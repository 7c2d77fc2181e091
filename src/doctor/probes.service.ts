import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Response } from 'express';
import { randomBytes } from 'node:crypto';
import { Subject } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import type { ProbePlan } from './probe.schema.js';
import { Probe } from './probe.js';

/**
 * Probes at once, and of one owner, so that nobody keeps the others from theirs. Those that ended
 * lately count too, but make room. `sluice doctor` makes about ten.
 */
const MAX_PROBES = 256;
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

  /**
   * @throws {ChatError} 409 while a probe of that id goes on, `rate_limit_exceeded` or, while the process
   *   ends, `shutting_down`
   */
  start(owner: string, plan: ProbePlan, response: Response) {
    if (this.shutdown.closed) {
      throw new ChatError('shutting_down', 'The server is shutting down. Try again.');
    }
    const key = keyOf(owner, plan.id);
    const earlier = this.probes.get(key);
    if (earlier && !isOver(earlier)) {
      const message = 'A probe of this id goes on.';
      throw new ChatError('invalid_request', message, { status: 409, param: 'id' });
    }
    const all = [...this.probes];
    const own = all.filter(([, one]) => one.owner === owner);
    if (own.length >= MAX_OWN_PROBES) this.makeRoom(own);
    else if (all.length >= MAX_PROBES) this.makeRoom(all);
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

  /** @throws {ChatError} `rate_limit_exceeded` when none of them is over */
  private makeRoom(probes: [key: string, entry: { probe: Probe }][]) {
    const over = probes.find(([, entry]) => isOver(entry));
    if (over) {
      this.probes.delete(over[0]);
    } else {
      const message = 'There are too many probes. Try again in a minute.';
      throw new ChatError('rate_limit_exceeded', message, { retryAfterMs: KEEP_MS });
    }
  }

  /** A probe is nothing to wait for. */
  onModuleDestroy() {
    this.shutdown.next();
    this.shutdown.unsubscribe();
  }
}

function isOver({ probe }: { probe: Probe }): boolean {
  return probe.state.closed_after_ms !== null;
}

function keyOf(owner: string, id: string): string {
  return JSON.stringify([owner, id]);
}
