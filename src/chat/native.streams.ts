import { Injectable, type MessageEvent } from '@nestjs/common';
import type { Response } from 'express';
import { EMPTY, finalize, type Observable } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import { isTerminal } from '../runs/entry.js';
import type { ChatRequestBody } from './chat-request.schema.js';
import { ChatService } from './chat.service.js';
import type { Cursor } from './cursor.js';
import {
  EVENT_FORMATS,
  isWritten,
  WRITTEN_FORMATS,
  type Format,
  type FormatOptions,
} from './dialects/formats.js';
import { emitEach } from './emit-each.js';
import { writeResponse } from './response.writer.js';
import { asksToResume } from './run-options.js';
import type { Viewer } from './viewer.js';

type Events = Observable<MessageEvent>;

/** Viewers bound what waits for a client; Nest's own bound would cut one large event. */
export const SSE_OPTIONS = { maxPendingDataLength: Infinity };

/** In so many ticks, or fewer, Nest ends a response after its last event. */
const END_TICKS = 8;

/** The comment that is sent in a silence. */
const HEARTBEAT: MessageEvent[] = [{ comment: 'ping' }];

/** What the native routes return to `@Sse`. */
@Injectable()
export class NativeStreams {
  constructor(private readonly chat: ChatService) {}

  /** A new run; its failure before the first byte is an HTTP error. */
  async start(body: ChatRequestBody, format: Format, response: Response): Promise<Events> {
    expectShowable(body.n ?? 1, format);
    const viewer = await this.chat.start(body, response);
    await viewer.opened();
    return show(viewer, format, response, { isResumable: asksToResume(response.req) });
  }

  /** A run after a cursor; its failure is an event. One that can't be served yet is asked for again. */
  async resume(cursor: Cursor, format: Format, response: Response): Promise<Events> {
    const viewer = await this.chat.resume(cursor, response, (run) => {
      expectShowable(run.choices, format);
    });
    if (viewer) return show(viewer, format, response, { isResumable: true });
    // The client has seen the end: 204 is what keeps EventSource from asking again.
    response.status(204).end();
    return EMPTY;
  }
}

/** A format that `@Sse` has no words for is written here, and Nest finds the response ended. */
async function show(
  viewer: Viewer,
  format: Format,
  response: Response,
  options: FormatOptions,
): Promise<Events> {
  if (isWritten(format)) {
    writeResponse(viewer, WRITTEN_FORMATS[format](options), response);
    // Until it is over, Nest could cut off what the client has yet to read.
    await closed(response);
    return EMPTY;
  }
  const { toEvent } = EVENT_FORMATS[format];
  return viewer.batches.pipe(
    emitEach((batch) => {
      if (batch.length === 0) return HEARTBEAT;
      const events: MessageEvent[] = [];
      for (const entry of batch) {
        const event = toEvent(entry, viewer.run);
        if (event) events.push(event);
      }
      if (events.length > 0) viewer.wrote();
      const isLast = isTerminal(batch.at(-1)!);
      if (isLast) joinWrites(response, events.length + END_TICKS);
      else if (batch.length > 1) joinWrites(response, events.length);
      return events;
    }),
    finalize(() => viewer.release()),
  );
}

function closed(response: Response): Promise<void> {
  return new Promise((resolve) => {
    if (response.closed) resolve();
    else response.once('close', resolve);
  });
}

/**
 * Joins what is written within so many ticks. Nest writes event by event, one a tick if none waits from
 * before: what comes together leaves together, also with headers or the end. Not with `setImmediate`,
 * which on a busy server is seconds away: libuv comes to it when no socket has anything left to read.
 */
function joinWrites({ socket }: Response, ticks: number) {
  if (!socket) return;
  const wait = (left: number) => {
    if (left === 0) socket.uncork();
    else process.nextTick(queueMicrotask, () => wait(left - 1));
  };
  socket.cork();
  wait(ticks);
}

/** @throws {ChatError} `invalid_request` when the format can't show that many answers */
function expectShowable(choices: number, format: Format) {
  if (choices === 1 || format === 'openai') return;
  const message = `The format ${format} shows one answer: n must be 1.`;
  throw new ChatError('invalid_request', message, { param: 'n' });
}
