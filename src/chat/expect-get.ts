import type { Request } from 'express';
import { ChatError } from '../errors/chat-error.js';

/**
 * Express takes HEAD to the route of GET, which would generate, or view, an answer for nobody.
 * @throws {ChatError} `invalid_request`
 */
export function expectGet({ method }: Request) {
  if (method === 'GET') return;
  throw new ChatError('invalid_request', 'This route has no HEAD.', { status: 405 });
}
