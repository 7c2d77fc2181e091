import { Logger } from '@nestjs/common';
import type { Response } from 'express';
import type { Socket } from 'node:net';
import type { Observer } from 'rxjs';
import { cancelled } from '../errors/chat-error.js';
import { isTerminal, type Entry } from '../runs/entry.js';
import type { Run } from '../runs/run.js';
import type { Encoder, WrittenDialect } from './dialects/dialect.js';
import type { Viewer } from './viewer.js';

const logger = new Logger('ResponseWriter');

/** What keeps caches and proxies from holding a stream back. */
const STREAM_HEADERS = {
  'Cache-Control': 'no-cache, no-store, no-transform',
  'X-Accel-Buffering': 'no',
};

/** How long what was written gets to reach the client before a reset, in milliseconds. */
const RESET_AFTER_MS = 1_000;

/** Writes a run in a dialect that `@Sse` has no words for, from its headers to its end. */
export function writeResponse(viewer: Viewer, dialect: WrittenDialect, response: Response) {
  const writer = new BatchWriter(viewer, dialect, response);
  response.status(200).set({ ...STREAM_HEADERS, ...dialect.headers });
  const { socket } = response;
  // What there is to show leaves with the headers. They are written apart from it, as Node keeps those
  // that it joins with a body for as long as the response, in all the pieces that it made them of.
  socket?.cork();
  response.flushHeaders();
  viewer.batches.subscribe(writer);
  socket?.uncork();
}

class BatchWriter implements Observer<readonly Entry[]> {
  private readonly encoder: Encoder;
  private last?: Entry;

  constructor(
    private readonly viewer: Viewer,
    private readonly dialect: WrittenDialect,
    private readonly response: Response,
  ) {
    this.encoder = dialect.open(viewer.run);
  }

  next(batch: readonly Entry[]) {
    const { response } = this;
    try {
      const text = this.encode(batch);
      if (text === '') return;
      this.viewer.wrote();
      // The end of the response leaves together with the end of the text.
      if (this.last && isTerminal(this.last)) response.socket?.cork();
      response.write(text);
    } catch (error) {
      // What can't be encoded, such as JSON nested too deeply to be written, ends this response alone.
      this.error(error);
    }
  }

  error(error: unknown) {
    logger.error(error);
    this.response.destroy();
  }

  complete() {
    const { response } = this;
    // There can be nothing left to write, for a client that saw the end elsewhere.
    const end = this.last ?? this.viewer.run.log.terminal;
    const isBroken = this.dialect.onFailure === 'break-off' && end?.type !== 'done';
    if (isBroken) breakOff(response);
    else response.end();
  }

  private encode(batch: readonly Entry[]): string {
    const { encoder } = this;
    if (!this.last) replaySilently(encoder, this.viewer.run, batch[0]);
    if (batch.length === 0) return encoder.heartbeat;
    this.last = batch.at(-1);
    let text = '';
    for (const entry of batch) text += encoder.encode(entry, this.viewer.framesSeen(entry));
    return text;
  }
}

/** Ends the connection after what was written, and with it a body that so has no end. */
function breakOff(response: Response) {
  const { socket } = response;
  if (socket) {
    endUnfinished(socket, response);
    return;
  }
  // On a connection with pipelined requests it gets a socket when its turn comes, and right after that
  // writes to it what waited.
  response.once('socket', (assigned: Socket) => {
    process.nextTick(() => endUnfinished(assigned, response));
  });
}

function endUnfinished(socket: Socket, { chunkedEncoding }: Response) {
  if (chunkedEncoding) {
    socket.destroySoon();
    return;
  }
  // For HTTP/1.0 the end of the connection is that of the body (RFC 9112 §6.3). A reset is none, but can
  // overtake what was written.
  socket.uncork();
  socket.write('', () => setTimeout(() => socket.resetAndDestroy(), RESET_AFTER_MS).unref());
}

/**
 * Answers with all of a run at once, when it has ended.
 * @throws {ChatError} the run's failure, or `cancelled`
 */
export async function writeWhole(
  viewer: Viewer,
  response: Response,
  bodyOf: (run: Run) => object,
): Promise<void> {
  const end = await viewer.finished();
  // Nobody is there to be answered.
  if (end === undefined) return;
  if (end.type === 'error') throw end.error;
  if (end.type === 'cancelled') throw cancelled();
  response.json(bodyOf(viewer.run));
}

/** On resume an encoder gets what the client has already, so that it stands where it stood. */
function replaySilently(encoder: Encoder, { log }: Run, first: Entry | undefined) {
  if (first) for (const entry of log.entries.slice(0, first.seq - 1)) encoder.encode(entry);
}
