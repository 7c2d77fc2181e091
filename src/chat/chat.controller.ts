import {
  Body,
  Controller,
  HttpCode,
  Query,
  Req,
  RequestMethod,
  Res,
  Sse,
  UseGuards,
  type MessageEvent,
} from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import type { Observable } from 'rxjs';
import { TakesTicket } from '../access/tickets/takes-ticket.decorator.js';
import { ChatError } from '../errors/chat-error.js';
import { RefuseHead } from '../http/refuse-head.guard.js';
import {
  chatRequestSchema,
  questionQuerySchema,
  streamQuerySchema,
  type ChatRequestBody,
  type QuestionQuery,
  type StreamQuery,
} from './chat-request.schema.js';
import { ApiChatRequest, ApiQuestion, ApiStream } from './chat.openapi.js';
import { lastEventId } from './cursor.js';
import type { Format } from './dialects/formats.js';
import { formatOf } from './format.js';
import { NativeStreams, SSE_OPTIONS } from './native.streams.js';
import { SchemaPipe } from './schema.pipe.js';

/** A run, started and viewed in one request. */
@ApiTags('chat')
@Controller('v1/chat/stream')
export class ChatController {
  constructor(private readonly streams: NativeStreams) {}

  @Sse('', { ...SSE_OPTIONS, method: RequestMethod.POST })
  @HttpCode(200)
  @ApiStream()
  @ApiChatRequest()
  post(
    @Body(new SchemaPipe(chatRequestSchema)) body: ChatRequestBody,
    @Query(new SchemaPipe(streamQuerySchema)) { format }: StreamQuery,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<Observable<MessageEvent>> {
    return this.startOrResume(() => body, formatOf(request, format), response);
  }

  @Sse('', SSE_OPTIONS)
  @UseGuards(new RefuseHead('GET, POST'))
  @TakesTicket()
  @ApiStream()
  @ApiQuestion()
  get(
    @Query(new SchemaPipe(questionQuerySchema)) query: QuestionQuery,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<Observable<MessageEvent>> {
    const body = (): ChatRequestBody => {
      const { q, model } = query;
      if (q !== undefined) return { messages: [{ role: 'user', content: q }], model };
      throw new ChatError('invalid_request', "q: expected the user's message", { param: 'q' });
    };
    return this.startOrResume(body, formatOf(request, query.format), response);
  }

  /** What reconnects after any end, also a good one, as EventSource does, must not start a run. */
  private async startOrResume(
    body: () => ChatRequestBody,
    format: Format,
    response: Response,
  ): Promise<Observable<MessageEvent>> {
    const cursor = lastEventId(response.req);
    return cursor
      ? this.streams.resume(cursor, format, response)
      : this.streams.start(body(), format, response);
  }
}
