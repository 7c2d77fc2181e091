import type { Entry } from '../../runs/entry.js';
import { eventId, type EventDialect } from './dialect.js';

/** How long an EventSource waits before it reconnects, in milliseconds. */
const RECONNECT_MS = 1_000;

/** The native dialect: every entry is an event whose data is one line of JSON. */
export const jsonDialect: EventDialect = {
  toEvent: (entry, run) => ({
    type: entry.type === 'message' ? undefined : entry.type,
    id: eventId(run, entry),
    retry: isReconnectHint(entry) ? RECONNECT_MS : undefined,
    data: JSON.stringify(entry.data),
  }),
};

/** At the start, and when the server leaves: another one will be there. */
function isReconnectHint(entry: Entry): boolean {
  return entry.type === 'start' || (entry.type === 'error' && entry.data.code === 'shutting_down');
}
