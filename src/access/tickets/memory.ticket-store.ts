import type { TicketRecord, TicketStore } from './ticket.store.js';

/** Tickets that are kept at the most; the oldest go first. */
const MAX_TICKETS = 100_000;

/** The tickets of one process. */
export class MemoryTicketStore implements TicketStore {
  private readonly tickets = new Map<string, { record: TicketRecord; expiry: NodeJS.Timeout }>();

  put(id: string, record: TicketRecord, ms: number): Promise<void> {
    this.forget(id);
    this.tickets.set(id, { record, expiry: setTimeout(() => this.forget(id), ms).unref() });
    const [oldest] = this.tickets.keys();
    if (this.tickets.size > MAX_TICKETS) this.forget(oldest!);
    return Promise.resolve();
  }

  find(id: string): Promise<TicketRecord | undefined> {
    return Promise.resolve(this.tickets.get(id)?.record);
  }

  private forget(id: string) {
    clearTimeout(this.tickets.get(id)?.expiry);
    this.tickets.delete(id);
  }
}
