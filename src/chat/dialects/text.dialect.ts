import type { MessageEvent } from '@nestjs/common';
import type { Entry } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';
import type { EventDialect } from './dialect.js';
import { eventId } from './dialect.js';
import { halfAtEnd } from './half-character.js';

/** For the smallest of clients: bare text as data, and an end that a shell can look for. */
export const textDialect: EventDialect = {
  toEvent: (entry, run) => {
    const event = toEvent(entry, run);
    return event && { ...event, id: eventId(run, entry) };
  },
};

function toEvent(entry: Entry, run: Run): MessageEvent | undefined {
  switch (entry.type) {
    case 'message': {
      const data = halfBefore(entry, run) + withoutHalf(entry.data.content);
      return data === '' ? undefined : { data };
    }
    case 'done':
      return { type: 'done', data: '[DONE]' };
    case 'cancelled':
    case 'error':
      return { type: entry.type, data: JSON.stringify(entry.data) };
    default:
      return undefined;
  }
}

/** A character that its provider cut in two comes whole with its second half. */
function withoutHalf(content: string): string {
  return content.slice(0, content.length - halfAtEnd(content).length);
}

/** The half that the text before ended with, whatever else came in between. */
function halfBefore({ seq }: Entry, { log }: Run): string {
  for (let index = seq - 2; index >= 0; index -= 1) {
    const entry = log.entries[index]!;
    if (entry.type === 'message') return halfAtEnd(entry.data.content);
  }
  return '';
}
