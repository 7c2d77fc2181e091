import { Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { createHash, randomBytes } from 'node:crypto';
import { CONFIG, type Config } from '../../config/config.js';
import { ConfigFile } from '../../config/file/config-file.js';
import { MAX_TIMER_MS } from '../../config/file/numbers.js';
import { ChatError } from '../../errors/chat-error.js';
import { Access } from '../access.service.js';
import type { Caller } from '../caller.js';
import { TICKET_STORE, type TicketRecord, type TicketStore } from './ticket.store.js';

/** How long a ticket can start a run, in milliseconds. */
const START_MS = 60_000;

const FORM = /^ticket_[\w-]{43}$/;

/** A ticket that somebody came with. */
export interface Ticket extends TicketRecord {
  /** Names it; the ticket itself is kept nowhere. */
  id: string;
}

const tickets = new WeakMap<Request, Ticket>();

/** The ticket by which a request was let in. */
export function ticketOf(request: Request): Ticket | undefined {
  return tickets.get(request);
}

/**
 * Tickets let EventSource in, which can't send a key: their bearer may do with one run what the caller
 * could that asked for them.
 */
@Injectable()
export class Tickets {
  constructor(
    private readonly access: Access,
    private readonly file: ConfigFile,
    @Inject(TICKET_STORE) private readonly store: TicketStore,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** @throws {ChatError} `store_unavailable` */
  async issue(caller: Caller): Promise<{ ticket: string; expires_in: number }> {
    const ticket = `ticket_${randomBytes(32).toString('base64url')}`;
    await this.store.put(idOf(ticket), { caller }, START_MS);
    return { ticket, expires_in: START_MS / 1000 };
  }

  /**
   * Lets a request in.
   * @returns on whose behalf
   * @throws {ChatError} `invalid_api_key`, `store_unavailable`
   */
  async redeem(ticket: string, request: Request): Promise<Caller> {
    const id = idOf(ticket);
    const record = FORM.test(ticket) ? await this.store.find(id) : undefined;
    const caller = record && this.access.current(record.caller);
    if (!caller) throw new ChatError('invalid_api_key', 'The ticket is wrong or has expired.');
    const { runId, hasStarted } = record;
    tickets.set(request, { id, caller, runId, hasStarted });
    return caller;
  }

  /** Makes a ticket good for this run alone, from now on. Never fails: the run goes on all the same. */
  async bind({ id, ...record }: Ticket, runId: string): Promise<void> {
    await this.store.put(id, { ...record, runId }, this.viewMs).catch(() => undefined);
  }

  /** A ticket that is in use stays good for as long as its run can be viewed, in milliseconds. */
  private get viewMs(): number {
    const { providers, aliases } = this.file.current;
    const totals = [...providers, ...aliases].map(({ timeouts }) => timeouts?.total ?? 0);
    const retentionMs = this.config.RUN_RETENTION_SECONDS * 1000;
    return Math.min(Math.max(...totals) + retentionMs + START_MS, MAX_TIMER_MS);
  }
}

function idOf(ticket: string): string {
  return createHash('sha256').update(ticket).digest('base64url');
}
