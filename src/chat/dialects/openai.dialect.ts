import { cancelled } from '../../errors/chat-error.js';
import { countsOf, isTerminal, type Entry, type Terminal } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';
import { eventId, type WrittenDialect } from './dialect.js';

export interface OpenAIStreamOptions {
  /** Whether the client asked for the chunk with the usage. */
  includeUsage: boolean;
  /** Whether the client asked for ids to resume from; some clients can't read them. */
  isResumable: boolean;
}

/** OpenAI's stream of chunks. */
export function openaiDialect(options: OpenAIStreamOptions): WrittenDialect {
  return {
    headers: { 'Content-Type': 'text/event-stream; charset=utf-8' },
    onFailure: 'tell',
    open: (run) => ({
      encode: (entry) => encode(entry, run, options),
      // openai-python takes a blank line for the end of an event, and its lack of data for JSON.
      heartbeat: ': ping\n',
    }),
  };
}

function encode(entry: Entry, run: Run, { includeUsage, isResumable }: OpenAIStreamOptions) {
  const frames = isTerminal(entry) ? framesOf(entry, includeUsage) : (entry.chunks ?? []);
  const last = frames.length - 1;
  let text = '';
  for (let at = 0; at <= last; at++) {
    if (isResumable && at === last) text += `id: ${eventId(run, entry)}\n`;
    text += `data: ${frames[at]}\n\n`;
  }
  return text;
}

function framesOf(entry: Entry & Terminal, includeUsage: boolean): string[] {
  return [...(entry.chunks ?? []), ...endOf(entry, includeUsage)];
}

function endOf(entry: Entry & Terminal, includeUsage: boolean): string[] {
  switch (entry.type) {
    case 'done':
      return includeUsage ? [usageChunk(entry), '[DONE]'] : ['[DONE]'];
    case 'error':
      return [JSON.stringify({ error: entry.error.body })];
    case 'cancelled':
      return [JSON.stringify({ error: cancelled().body })];
  }
}

function usageChunk({ usageChunk, data }: Entry & { type: 'done' }): string {
  return JSON.stringify({ ...usageChunk!, usage: data.usage && countsOf(data.usage) });
}
