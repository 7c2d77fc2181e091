import { MessageEvents } from '../anthropic/message-events.js';
import { eventId, type WrittenDialect } from './dialect.js';
import type { FormatOptions } from './formats.js';

/** Anthropic's stream of a message: named events, a ping where there is nothing else to say. */
export function anthropicDialect({ isResumable }: FormatOptions): WrittenDialect {
  return {
    headers: { 'Content-Type': 'text/event-stream; charset=utf-8' },
    onFailure: 'tell',
    open: (run) => {
      const events = new MessageEvents(run);
      return {
        encode: (entry) => {
          const frames = events.of(entry).map(frameOf);
          // Only the last: a client that has half of an entry gets all of it again.
          const id = isResumable ? `id: ${eventId(run, entry)}\n` : '';
          return frames.map((frame, at) => (at === frames.length - 1 ? id : '') + frame).join('');
        },
        heartbeat: frameOf({ type: 'ping' }),
      };
    },
  };
}

function frameOf(event: { type: string }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
