import { ChatError } from '../../errors/chat-error.js';
import type { Draft, Entry } from '../entry.js';

/** An entry as JSON. */
export function encodeEntry(entry: Entry): string {
  if (entry.type !== 'error') return JSON.stringify(entry);
  const { status, retryAfterMs, body } = entry.error;
  return JSON.stringify({ ...entry, error: { status, retryAfterMs, body } });
}

export function decodeEntry(json: string): Draft {
  const entry = JSON.parse(json) as Entry;
  if (entry.type !== 'error') return entry;
  const { code, message, retryable } = entry.data;
  const { status, retryAfterMs, body } = entry.error;
  const error = new ChatError(code, message, { status, retryAfterMs, retryable, upstream: body });
  return { ...entry, error };
}
