import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Request } from 'express';
import { CONFIG, type Config } from '../config/config.js';
import { ChatError } from '../errors/chat-error.js';
import { ApiKeys } from './api-keys.js';
import { expectOwnOrigin } from './own-origin.js';
import { setCaller } from './caller.js';
import { IS_PUBLIC } from './public.decorator.js';

/** Lets in who has a key or, where there are no keys, who is on this machine. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly keys: ApiKeys,
    private readonly reflector: Reflector,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** @throws {ChatError} `invalid_api_key` or `permission_denied` */
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<Request>();
    const handlers = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean>(IS_PUBLIC, handlers)) return true;
    if (!this.config.AUTH) return true;
    if (!this.keys.required) {
      expectOwnOrigin(request);
      return true;
    }
    const caller = keysOf(request)
      .map((key) => this.keys.find(key))
      .find((found) => found !== undefined);
    if (!caller) throw new ChatError('invalid_api_key', 'The API key is missing or wrong.');
    setCaller(request, caller);
    return true;
  }
}

/** OpenAI's clients send `Authorization`, Azure's `api-key`, Anthropic's `x-api-key` or several. */
function keysOf(request: Request): string[] {
  const bearer = /^Bearer +(\S+) *$/i.exec(request.get('authorization') ?? '')?.[1];
  const keys = [bearer, request.get('api-key'), request.get('x-api-key')];
  return keys.filter((key) => key !== undefined);
}
