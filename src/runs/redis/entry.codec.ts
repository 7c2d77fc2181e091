import { ChatError } from '../../errors/chat-error.js';
import { TextEntry, type Draft, type Entry } from '../entry.js';

/** A text and its padding, and what is around them unless that is as in the entry before. */
type EncodedText =
  | [text: string, padding: string]
  | [text: string, padding: string, before: string, between: string, after: string];

/**
 * An entry as JSON.
 * @param previous the entry before it in the log
 */
export function encodeEntry(entry: Entry, previous: Entry | undefined): string {
  if (entry instanceof TextEntry) return encodeText(entry, previous);
  if (entry.type !== 'error') return JSON.stringify(entry);
  const { status, retryAfterMs, body } = entry.error;
  return JSON.stringify({ ...entry, error: { status, retryAfterMs, body } });
}

/** @param previous as it was decoded */
export function decodeEntry(json: string, previous: Entry | undefined): Draft {
  const entry = JSON.parse(json) as Entry | EncodedText;
  if (Array.isArray(entry)) return decodeText(entry, previous);
  if (entry.type !== 'error') return entry;
  const { code, message, retryable } = entry.data;
  const { status, retryAfterMs, body } = entry.error;
  const error = new ChatError(code, message, { status, retryAfterMs, retryable, upstream: body });
  return { ...entry, error };
}

function encodeText({ text, padding, around }: TextEntry, previous: Entry | undefined): string {
  const isLikePrevious = previous instanceof TextEntry && previous.around === around;
  const encoded: EncodedText = isLikePrevious
    ? [text, padding]
    : [text, padding, around.before, around.between, around.after];
  return JSON.stringify(encoded);
}

function decodeText(encoded: EncodedText, previous: Entry | undefined): TextEntry {
  if (encoded.length === 2) return new TextEntry(...encoded, (previous as TextEntry).around);
  const [text, padding, before, between, after] = encoded;
  return new TextEntry(text, padding, { before, between, after });
}
