import type { Caller } from '../caller.js';

/** What a ticket stands for. */
export interface TicketRecord {
  caller: Caller;
  /** The one run that it is for, once that is known. */
  runId?: string;
  /** Whether the ticket started that run, and was not first used to view it. */
  hasStarted?: boolean;
}

/**
 * Where tickets are found again, by all instances that share the store. What needs a store that is
 * away fails with a `ChatError` `store_unavailable`, soon.
 */
export interface TicketStore {
  /** Keeps what a ticket stands for, in place of what it stood for, for so many milliseconds. */
  put(id: string, record: TicketRecord, ms: number): Promise<void>;
  /** @returns nothing when there is no such ticket, or its time is over */
  find(id: string): Promise<TicketRecord | undefined>;
}

export const TICKET_STORE = Symbol('TICKET_STORE');
