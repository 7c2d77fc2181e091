import { ChatError } from '../../errors/chat-error.js';
import type { Entry, OutputChunk } from '../../runs/entry.js';
import type { WrittenDialect } from './dialect.js';

/** OpenAI's stream of chunks. */
export function openaiDialect({ includeUsage }: { includeUsage: boolean }): WrittenDialect {
  return {
    contentType: 'text/event-stream; charset=utf-8',
    // openai-python takes a blank line for the end of an event, and its lack of data for JSON.
    heartbeat: ': ping\n',
    onFailure: 'tell',
    encode: (entry) => (entry.chunks ?? []).map(frame).join('') + encodeEnd(entry, includeUsage),
  };
}

function encodeEnd(entry: Entry, includeUsage: boolean): string {
  switch (entry.type) {
    case 'done':
      return (includeUsage && entry.usageChunk ? frame(entry.usageChunk) : '') + frame('[DONE]');
    case 'error':
      return frame(JSON.stringify({ error: entry.error.body }));
    case 'cancelled':
      return frame(JSON.stringify({ error: cancelled().body }));
    default:
      return '';
  }
}

function frame(chunk: OutputChunk): string {
  return `data: ${typeof chunk === 'string' ? chunk : JSON.stringify(chunk)}\n\n`;
}

/** A stop as OpenAI's clients see it. */
export function cancelled(): ChatError {
  return new ChatError('cancelled', 'The run was cancelled.');
}
