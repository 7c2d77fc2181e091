import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';
import { ChatError } from '../errors/chat-error.js';

/** For streams: Express takes HEAD to the route of GET, which would generate, or view, for nobody. */
export class RefuseHead implements CanActivate {
  /** @param allowed the methods that the route has (RFC 9110 §15.5.6) */
  constructor(private readonly allowed = 'GET') {}

  /** @throws {ChatError} `invalid_request` */
  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    if (http.getRequest<Request>().method !== 'HEAD') return true;
    http.getResponse<Response>().set('Allow', this.allowed);
    throw new ChatError('invalid_request', 'This route has no HEAD.', { status: 405 });
  }
}
