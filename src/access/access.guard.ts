import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Request } from 'express';
import { ChatError } from '../errors/chat-error.js';
import { Access } from './access.service.js';
import { decisionOf } from './authentication.js';
import { callerOf, setCaller } from './caller.js';
import { IS_PUBLIC } from './public.decorator.js';
import { TAKES_TICKET } from './tickets/takes-ticket.decorator.js';
import { Tickets } from './tickets/tickets.service.js';

/** Keeps every route that is not public from whoever was not let in. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly access: Access,
    private readonly tickets: Tickets,
    private readonly reflector: Reflector,
  ) {}

  /** @throws {ChatError} why the request was not let in */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<Request>();
    const handlers = [context.getHandler(), context.getClass()];
    const has = (key: string) => Boolean(this.reflector.getAllAndOverride<unknown>(key, handlers));
    if (has(IS_PUBLIC)) return true;
    const { refusal, ticket } = decisionOf(request);
    if (ticket !== undefined && has(TAKES_TICKET)) {
      this.access.expectOrigin(request);
      setCaller(request, await this.tickets.redeem(ticket, request));
      return true;
    }
    if (refusal) throw refusal;
    // It can take a while to send a body.
    if (this.access.current(callerOf(request))) return true;
    throw new ChatError('invalid_api_key', 'The API key is no longer valid.');
  }
}
