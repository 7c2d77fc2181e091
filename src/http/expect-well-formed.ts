import type { NextFunction, Request, Response } from 'express';
import { ChatError } from '../errors/chat-error.js';
import { refuseUnread } from './refuse-unread.js';

/** The most lines of headers of a request; what is in more of them Node would leave out, and say nothing. */
export const MAX_HEADERS = 100;

/** Refuses what Node takes for a request and is none, or one of which not all would be seen. */
export function expectWellFormed(request: Request, response: Response, next: NextFunction) {
  const refusal = refusalOf(request);
  if (refusal) refuseUnread(request, response);
  next(refusal);
}

function refusalOf({ headers, rawHeaders }: Request): ChatError | undefined {
  // Names and values in turn; Node cuts these off later than `headers`.
  // https://www.rfc-editor.org/rfc/rfc6585#section-5
  if (rawHeaders.length > 2 * MAX_HEADERS) {
    return refusal(431, `The request has over ${MAX_HEADERS} headers.`);
  }
  // https://www.rfc-editor.org/rfc/rfc9112#section-3.2
  if (hostsIn(rawHeaders) > 1) return refusal(400, 'The request has more than one Host.');
  // https://www.rfc-editor.org/rfc/rfc9112#section-6.1
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return refusal(501, 'The only transfer coding that is known here is chunked.');
  }
  return undefined;
}

function hostsIn(rawHeaders: readonly string[]): number {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts;
}

function refusal(status: number, message: string): ChatError {
  return new ChatError('invalid_request', message, { status });
}
