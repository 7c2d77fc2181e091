import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';

/** Everybody, where there are no keys. */
export const ANYBODY = 'anybody';

const owners = new WeakMap<Request, string>();

export function setOwner(request: Request, owner: string) {
  owners.set(request, owner);
}

/** Whose request it is: the name of its key. What it starts belongs to that name. */
export function ownerOf(request: Request): string {
  return owners.get(request) ?? ANYBODY;
}

export const Owner = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  ownerOf(context.switchToHttp().getRequest<Request>()),
);
