import type { NextFunction, Request, Response } from 'express';
import { ChatError } from '../errors/chat-error.js';

/** Refuses a body that is not declared as JSON: a page of another origin can send no other kind. */
export function expectJson(request: Request, _response: Response, next: NextFunction) {
  const { headers } = request;
  const hasBody =
    headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0;
  if (hasBody && !request.is('application/json')) {
    const message = 'The body must be JSON, with Content-Type: application/json.';
    throw new ChatError('invalid_request', message, { status: 415 });
  }
  next();
}
