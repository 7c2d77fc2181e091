import { BadRequestException } from '@nestjs/common';
import { json, type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import { isUtf8 } from 'node:buffer';
import { ChatError } from '../errors/chat-error.js';
import { hasBody } from './has-body.js';
import { refuseUnread } from './refuse-unread.js';

/**
 * Middleware that reads a body as JSON, whatever it is declared as. One of more bytes is refused unread
 * where its length is declared, and else once they have come; the body parser would read it to its end.
 */
export function readJson(maxBytes: number): RequestHandler {
  const parse = json({
    limit: maxBytes,
    type: () => true,
    // What is JSON and no object is for the route to refuse.
    strict: false,
    verify: (_request, _response, body, charset) => expectUtf8(body, charset),
  });

  const refuse = (request: Request, response: Response, next: NextFunction) => {
    refuseUnread(request, response);
    const message = `The body is longer than ${maxBytes} bytes.`;
    next(new ChatError('invalid_request', message, { status: 413 }));
  };

  const parseChunked: RequestHandler = (request, response, next) => {
    let length = 0;
    const count = (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxBytes) return;
      request.off('data', count);
      refuse(request, response, next);
    };
    request.on('data', count);
    parse(request, response, (error) => {
      if (length > maxBytes) return;
      request.off('data', count);
      // A charset that is not supported, for one.
      if (!request.complete) refuseUnread(request, response);
      next(error);
    });
  };

  return (request, response, next) => {
    const { headers } = request;
    if (!hasBody(request)) next();
    else if (Number(headers['content-length']) > maxBytes) refuse(request, response, next);
    else {
      // Not before, and HTTP/1.0 knows no such answer (RFC 9110 §10.1.1).
      const expects = headers.expect !== undefined && request.httpVersion !== '1.0';
      if (expects) response.writeContinue();
      if (headers['content-length'] === undefined) parseChunked(request, response, next);
      else parse(request, response, next);
    }
  };
}

/** Else what is none would be read as U+FFFD (RFC 8259 §8.1). */
function expectUtf8(body: Buffer, charset: string) {
  if (charset === 'utf-8' && !isUtf8(body)) throw new BadRequestException('the body is not UTF-8');
}
