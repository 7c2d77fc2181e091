import { cancelled } from '../../errors/chat-error.js';
import { countsOf, isTerminal, type Entry, type Terminal } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';
import { identified, type WrittenDialect } from './dialect.js';

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
      encode: (entry, framesSeen) => encode(entry, run, options, framesSeen),
      // openai-python takes a blank line for the end of an event, and its lack of data for JSON.
      heartbeat: ': ping\n',
    }),
  };
}

function encode(
  entry: Entry,
  run: Run,
  { includeUsage, isResumable }: OpenAIStreamOptions,
  framesSeen?: number,
): string {
  const chunks = isTerminal(entry) ? chunksOf(entry, includeUsage) : (entry.chunks ?? []);
  if (isResumable) return identified(chunks.map(frameOf), run, entry).slice(framesSeen).join('');
  let text = '';
  for (const chunk of chunks) text += frameOf(chunk);
  return text;
}

function frameOf(chunk: string): string {
  return `data: ${chunk}\n\n`;
}

function chunksOf(entry: Entry & Terminal, includeUsage: boolean): string[] {
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
