import {
  Catch,
  HttpException,
  Logger,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import { STATUS_CODES } from 'node:http';
import { ChatError, toChatError } from '../errors/chat-error.js';
import { errorBody } from './error-shapes.js';

/** How long EventSource waits before it asks again for a run that can't be served yet. */
const RETRY = 'retry: 2000\n\n';

/** Answers every failure before the first byte, in the shape that the route's clients know. */
@Catch()
export class ChatErrorFilter implements ExceptionFilter {
  private readonly logger = new Logger(ChatErrorFilter.name);

  catch(exception: unknown, host: ArgumentsHost) {
    const http = host.switchToHttp();
    const error = exceptionToChatError(exception);
    if (error.code === 'internal') this.logger.error(exception);
    answerError(error, http.getRequest<Request>(), http.getResponse<Response>());
  }
}

function answerError(error: ChatError, request: Request, response: Response) {
  if (response.headersSent) return void response.destroy();
  if (error.status === 503 && isReconnect(request)) {
    askAgain(response);
    return;
  }
  response.status(error.status).set('x-should-retry', String(error.retryable));
  if (error.retryAfterMs !== undefined) {
    response.set({
      'Retry-After': String(Math.ceil(error.retryAfterMs / 1000)),
      'retry-after-ms': String(Math.ceil(error.retryAfterMs)),
    });
  }
  if (error.status === 401) response.set('WWW-Authenticate', 'Bearer');
  const body = errorBody(error, request, String(response.getHeader('X-Request-Id')));
  if (typeof body === 'string') response.type('text/plain').send(body);
  else response.json(body);
}

/** Whether it is EventSource, which comes back by itself. */
function isReconnect(request: Request): boolean {
  return request.method === 'GET' && Boolean(request.get('Last-Event-ID'));
}

/** After any answer but 200 it would stay dead, and another attempt may mend what this one could not. */
function askAgain(response: Response) {
  response.status(200).set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  response.end(RETRY);
}

/** What Nest, Express and the body parser throw is about the request: it keeps its status. */
function exceptionToChatError(exception: unknown): ChatError {
  const status = statusOf(exception);
  if (status === undefined || status >= 500) return toChatError(exception);
  return new ChatError('invalid_request', messageOf(status, exception as Error), { status });
}

function messageOf(status: number, { message, cause }: Error): string {
  if (status === 404) return 'There is no such route.';
  // https://nodejs.org/api/zlib.html#constants
  const { code } = Object(cause) as NodeJS.ErrnoException;
  if (code?.startsWith('Z_')) return 'The body is not packed as its Content-Encoding says.';
  // JSON.parse quotes what it read.
  if (status === 400 && message.includes('JSON')) return 'The body is not valid JSON.';
  return `${STATUS_CODES[status]}: ${message}`;
}

function statusOf(exception: unknown): number | undefined {
  if (exception instanceof ChatError) return undefined;
  if (exception instanceof HttpException) return exception.getStatus();
  // http-errors, which the body parser throws.
  const { status } = Object(exception) as { status?: unknown };
  return exception instanceof Error && typeof status === 'number' ? status : undefined;
}
