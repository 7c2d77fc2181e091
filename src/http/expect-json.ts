import type { NextFunction, Request, Response } from 'express';
import { ChatError } from '../errors/chat-error.js';
import { hasBody } from './has-body.js';
import { refuseUnread } from './refuse-unread.js';

/**
 * Refuses a body that is not declared as JSON: a page of another origin can send no other kind. But
 * Ollama's clients, its own examples with curl among them, declare what they like; there, where no key
 * is asked for, it is the origin that tells such a page.
 */
export function expectJson(request: Request, response: Response, next: NextFunction) {
  const isOllama = request.path.startsWith('/api/');
  if (hasBody(request) && !isOllama && !request.is('application/json')) {
    refuseUnread(request, response);
    const message = 'The body must be JSON, with Content-Type: application/json.';
    throw new ChatError('invalid_request', message, { status: 415 });
  }
  next();
}
