import type { EventDialect } from './dialect.js';
import { eventId } from './dialect.js';

/** How long an EventSource waits before it reconnects, in milliseconds. */
const RECONNECT_MS = 1_000;

/** The native dialect: every entry is an event whose data is one line of JSON. */
export const jsonDialect: EventDialect = {
  toEvent: (entry, run) => ({
    type: entry.type === 'message' ? undefined : entry.type,
    id: eventId(run, entry),
    retry: entry.type === 'start' ? RECONNECT_MS : undefined,
    data: JSON.stringify(entry.data),
  }),
};
