import {
  Body,
  Controller,
  HttpCode,
  Query,
  Req,
  RequestMethod,
  Res,
  Sse,
  type MessageEvent,
} from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { EMPTY, finalize, mergeMap, type Observable } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import {
  chatRequestSchema,
  questionQuerySchema,
  streamQuerySchema,
  type ChatRequestBody,
  type QuestionQuery,
  type StreamQuery,
} from './chat-request.schema.js';
import { ChatService } from './chat.service.js';
import { ApiChatRequest, ApiQuestion, ApiStream } from './chat.openapi.js';
import { EVENT_FORMATS, isWritten, WRITTEN_FORMATS, type Format } from './dialects/formats.js';
import { formatOf } from './format.js';
import { writeResponse } from './response.writer.js';
import { SchemaPipe } from './schema.pipe.js';

/** Viewers bound what waits for a client; Nest's own bound would cut one large event. */
const SSE = { maxPendingDataLength: Infinity };

/** The comment that is sent in a silence. */
const HEARTBEAT: MessageEvent[] = [{ comment: 'ping' }];

/** The native routes: a run, started and viewed in one request. */
@ApiTags('chat')
@Controller('v1/chat/stream')
export class ChatController {
  constructor(private readonly chat: ChatService) {}

  @Sse('', { ...SSE, method: RequestMethod.POST })
  @HttpCode(200)
  @ApiStream()
  @ApiChatRequest()
  post(
    @Body(new SchemaPipe(chatRequestSchema)) body: ChatRequestBody,
    @Query(new SchemaPipe(streamQuerySchema)) { format }: StreamQuery,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<Observable<MessageEvent>> {
    return this.stream(body, formatOf(request, format), response);
  }

  @Sse('', SSE)
  @ApiStream()
  @ApiQuestion()
  get(
    @Query(new SchemaPipe(questionQuerySchema)) { q, model, format }: QuestionQuery,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<Observable<MessageEvent>> {
    expectGet(request);
    const messages = [{ role: 'user' as const, content: q }];
    return this.stream({ messages, model }, formatOf(request, format), response);
  }

  private async stream(
    body: ChatRequestBody,
    format: Format,
    response: Response,
  ): Promise<Observable<MessageEvent>> {
    if ((body.n ?? 1) > 1 && format !== 'openai') {
      const message = `The format ${format} shows one answer: n must be 1.`;
      throw new ChatError('invalid_request', message, { param: 'n' });
    }
    const viewer = this.chat.start(body, response);
    await viewer.opened();
    if (isWritten(format)) {
      await writeResponse(viewer, WRITTEN_FORMATS[format], response);
      return EMPTY;
    }
    const { toEvent } = EVENT_FORMATS[format];
    return viewer.batches.pipe(
      mergeMap((batch) =>
        batch.length === 0 ? HEARTBEAT : batch.flatMap((entry) => toEvent(entry, viewer.run) ?? []),
      ),
      finalize(() => viewer.release()),
    );
  }
}

/** Express takes HEAD to the route of GET, which would generate an answer for nobody. */
function expectGet({ method }: Request) {
  if (method === 'GET') return;
  throw new ChatError('invalid_request', 'This route takes GET and POST.', { status: 405 });
}
