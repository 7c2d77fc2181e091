import type { Request } from 'express';
import type { ChatError } from '../errors/chat-error.js';
import { anthropicError } from './anthropic/anthropic-error.js';
import { isOfAnthropic } from './anthropic/anthropic-version.js';
import { isOfUI } from './ui/ui-routes.js';

/** The body of a failure before the first byte, as the clients of some routes know it. */
interface ErrorShape {
  suits: (request: Request) => boolean;
  /** A string is sent as plain text. */
  bodyOf: (error: ChatError, requestId: string) => object | string;
}

/** The first that suits a request is its clients'. */
const SHAPES: readonly ErrorShape[] = [
  {
    suits: isOfAnthropic,
    bodyOf: (error, request_id) => ({ ...anthropicError(error), request_id }),
  },
  { suits: isOfUI, bodyOf: ({ message }) => message },
  {
    suits: ({ path }) => path.startsWith('/api/'),
    bodyOf: ({ message }) => ({ error: message }),
  },
  { suits: () => true, bodyOf: ({ body }) => ({ error: body }) },
];

export function errorBody(error: ChatError, request: Request, requestId: string): object | string {
  return SHAPES.find(({ suits }) => suits(request))!.bodyOf(error, requestId);
}
