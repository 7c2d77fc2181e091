import { Injectable } from '@nestjs/common';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { toChatError, type ChatError } from '../errors/chat-error.js';
import { refuseUnread } from '../http/refuse-unread.js';
import { Access } from './access.service.js';
import { setCaller } from './caller.js';
import { takeCredentials } from './credentials.js';

/** What was decided about a request before its route was known. */
interface Decision {
  /** Why it is not let in. */
  refusal?: ChatError;
  /** The ticket that it came with. */
  ticket?: string;
}

const decisions = new WeakMap<Request, Decision>();

/**
 * Decides about every request before its body is read: what a stranger sends is not for this server's
 * memory. What comes of it is the guard's to say, which knows the routes that are open.
 */
@Injectable()
export class Authentication {
  constructor(private readonly access: Access) {}

  /** Middleware. */
  async decide(request: Request, response: Response, next: NextFunction) {
    const { keys, ticket } = takeCredentials(request);
    try {
      setCaller(request, await this.access.admit(request, keys));
      decisions.set(request, { ticket });
    } catch (error) {
      decisions.set(request, { refusal: toChatError(error), ticket });
      refuseUnread(request, response);
    }
    next();
  }
}

/** @throws when nothing was decided: no request gets around it */
export function decisionOf(request: Request): Decision {
  const decision = decisions.get(request);
  if (!decision) throw new Error('Nothing was decided about this request.');
  return decision;
}

function isAdmitted(request: Request): boolean {
  return decisionOf(request).refusal === undefined;
}

/** Middleware for requests that were let in: what strangers send is not looked at. */
export function whenAdmitted(middleware: RequestHandler): RequestHandler {
  return (request, response, next) => {
    if (isAdmitted(request)) return middleware(request, response, next);
    next();
  };
}
