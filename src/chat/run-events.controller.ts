import {
  Controller,
  Param,
  Query,
  Req,
  Res,
  Sse,
  UseGuards,
  type MessageEvent,
} from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import type { Observable } from 'rxjs';
import { TakesTicket } from '../access/tickets/takes-ticket.decorator.js';
import { ChatError } from '../errors/chat-error.js';
import { RefuseHead } from '../http/refuse-head.guard.js';
import { streamQuerySchema, type StreamQuery } from './chat-request.schema.js';
import { ApiStream } from './chat.openapi.js';
import { lastEventId, startingAfter, type Cursor } from './cursor.js';
import { formatOf } from './format.js';
import { NativeStreams, SSE_OPTIONS } from './native.streams.js';
import { SchemaPipe } from './schema.pipe.js';

/** A run that was started elsewhere, viewed: replayed after the cursor, then live. */
@ApiTags('runs')
@Controller('v1/runs/:id/events')
export class RunEventsController {
  constructor(private readonly streams: NativeStreams) {}

  @Sse('', SSE_OPTIONS)
  @UseGuards(new RefuseHead())
  @TakesTicket()
  @ApiStream()
  @ApiOperation({ summary: 'View a run: replay after the cursor, then live' })
  @ApiQuery({ name: 'starting_after', required: false, description: 'The number alone.' })
  async events(
    @Param('id') runId: string,
    @Query(new SchemaPipe(streamQuerySchema)) query: StreamQuery,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<Observable<MessageEvent>> {
    const format = formatOf(request, query.format);
    const cursor = lastEventId(request);
    if (cursor) return this.streams.resume(expectRun(cursor, runId), format, response);
    return this.streams.resume({ runId, seq: startingAfter(request) }, format, response);
  }
}

/** A cursor of another run is answered like one of a run that never was. */
function expectRun(cursor: Cursor, runId: string): Cursor {
  if (cursor.runId === runId) return cursor;
  throw new ChatError('run_not_found', 'The cursor is of another run.');
}
