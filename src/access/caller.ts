import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import type { Limits } from '../config/file/limits.schema.js';

/** Who sent a request, and what it may. */
export interface Caller {
  /**
   * Whose runs, chats, idempotency keys and usage they are. Starts with its source, so that no name of
   * a key and no subject of a token can be taken for another's.
   */
  readonly owner: string;
  /** For people to read: the key's name or the token's subject. Not unique across sources. */
  readonly name: string;
  readonly source: 'key' | 'token' | 'anybody';
  /** What let it in, told apart from others and not to be let in with. */
  readonly credential: string;
  /** Names of models it may ask for, with `*` for any text. Undefined: all. */
  readonly models?: readonly string[];
  /** Undefined: none. */
  readonly limits?: Limits;
}

/** Everybody, where there are no keys. */
export const ANYBODY: Caller = {
  owner: 'anybody',
  name: 'anybody',
  source: 'anybody',
  credential: '',
};

const callers = new WeakMap<Request, Caller>();

export function setCaller(request: Request, caller: Caller) {
  callers.set(request, caller);
}

/** Whose request it is; nothing where nobody is known to be behind it. */
export function knownCallerOf(request: Request): Caller | undefined {
  return callers.get(request);
}

/** Whose request it is, once it was let in. */
export function callerOf(request: Request): Caller {
  const caller = callers.get(request);
  // Never somebody by default: that would be a way around the keys.
  if (!caller) throw new Error('A request that was not let in has no caller.');
  return caller;
}

/** Injects whose request it is. */
export const FromCaller = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  callerOf(context.switchToHttp().getRequest<Request>()),
);
