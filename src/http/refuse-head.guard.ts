import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import { ChatError } from '../errors/chat-error.js';

/** For streams: Express takes HEAD to the route of GET, which would generate, or view, for nobody. */
@Injectable()
export class RefuseHead implements CanActivate {
  /** @throws {ChatError} `invalid_request` */
  canActivate(context: ExecutionContext): boolean {
    if (context.switchToHttp().getRequest<Request>().method !== 'HEAD') return true;
    throw new ChatError('invalid_request', 'This route has no HEAD.', { status: 405 });
  }
}
