import type { MessageEvent } from '@nestjs/common';
import type { Entry } from '../../runs/entry.js';
import type { EventDialect } from './dialect.js';
import { eventId } from './dialect.js';

/** For the smallest of clients: bare text as data, and an end that a shell can look for. */
export const textDialect: EventDialect = {
  toEvent: (entry, run) => {
    const event = toEvent(entry);
    return event && { ...event, id: eventId(run, entry) };
  },
};

function toEvent(entry: Entry): MessageEvent | undefined {
  switch (entry.type) {
    case 'message':
      return { data: entry.data.content };
    case 'done':
      return { type: 'done', data: '[DONE]' };
    case 'cancelled':
    case 'error':
      return { type: entry.type, data: JSON.stringify(entry.data) };
    default:
      return undefined;
  }
}
