import type { Request } from 'express';
import { ChatError } from '../errors/chat-error.js';

/** Where a viewer goes on: after that entry of that run. */
export interface Cursor {
  runId: string;
  seq: number;
  /** How many frames were seen of the next entry, where it has more than one. */
  frames?: number;
}

/** Fewer digits than would lose precision. */
const SEQ = /^\d{1,15}$/;
const PLACE = /^(\d{1,15})(?:\.(\d{1,15}))?$/;

/**
 * The cursor that EventSource sends when it reconnects.
 * @throws {ChatError} `invalid_request` when it is not one of ours
 */
export function lastEventId(request: Request): Cursor | undefined {
  const id = request.get('Last-Event-ID');
  if (!id) return undefined;
  const [runId = '', place = '', ...rest] = id.split(':');
  const [, seq, frames = '0'] = PLACE.exec(place) ?? [];
  if (!runId.startsWith('run_') || seq === undefined || rest.length > 0) {
    throw invalid('Last-Event-ID', 'expected <run>:<number>');
  }
  return { runId, seq: Number(seq), frames: Number(frames) };
}

/** @throws {ChatError} `invalid_request` */
export function startingAfter({ query }: Request): number {
  const { starting_after: seq = '0' } = query;
  if (typeof seq === 'string' && SEQ.test(seq)) return Number(seq);
  throw invalid('starting_after', 'expected a number of an event');
}

function invalid(param: string, message: string): ChatError {
  return new ChatError('invalid_request', `${param}: ${message}`, { param });
}
