import { MessageEvents } from '../anthropic/message-events.js';
import { identified, type WrittenDialect } from './dialect.js';
import type { FormatOptions } from './formats.js';

/** Anthropic's stream of a message: named events, a ping where there is nothing else to say. */
export function anthropicDialect({ isResumable }: FormatOptions): WrittenDialect {
  return {
    headers: { 'Content-Type': 'text/event-stream; charset=utf-8' },
    onFailure: 'tell',
    open: (run) => {
      const events = new MessageEvents(run);
      return {
        encode: (entry, framesSeen) => {
          const frames = events.of(entry).map(frameOf);
          const sent = isResumable ? identified(frames, run, entry) : frames;
          return sent.slice(framesSeen).join('');
        },
        heartbeat: frameOf({ type: 'ping' }),
      };
    },
  };
}

function frameOf(event: { type: string }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
