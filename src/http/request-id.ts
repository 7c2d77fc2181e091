import type { NextFunction, Request, Response } from 'express';
import { randomUUID } from 'node:crypto';

const WELL_FORMED = /^[\w.:-]{1,128}$/;

/**
 * Gives every exchange an `X-Request-Id`, the caller's where it is well-formed, and the same under
 * the name that Anthropic's clients know.
 */
export function requestId(request: Request, response: Response, next: NextFunction) {
  const given = request.headers['x-request-id'];
  const id = typeof given === 'string' && WELL_FORMED.test(given) ? given : randomUUID();
  response.setHeader('X-Request-Id', id);
  response.setHeader('request-id', id);
  next();
}
