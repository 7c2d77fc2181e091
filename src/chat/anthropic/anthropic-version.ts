import type { Request } from 'express';

const MESSAGES = /^\/v1\/messages(\/|$)/;

/** Whether a request is of a client of Anthropic's: they name a version of its API, whichever. */
export function isOfAnthropic(request: Request): boolean {
  return MESSAGES.test(request.path) || request.get('anthropic-version') !== undefined;
}
