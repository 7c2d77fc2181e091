import { Logger } from '@nestjs/common';
import type { Response } from 'express';
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

/**
 * Writes a run in a dialect that `@Sse` has no words for. Resolves when the response
 * is over, and not before: until then its caller could cut off what the client has yet to read.
 */
export function writeResponse(
  viewer: Viewer,
  dialect: WrittenDialect,
  response: Response,
): Promise<void> {
  response.status(200).set({ ...STREAM_HEADERS, ...dialect.headers });
  return new Promise((resolve) => {
    let last: Entry | undefined;
    if (response.closed) resolve();
    response.once('close', resolve);
    const encoder = dialect.open(viewer.run);
    const encode = (batch: readonly Entry[]) => {
      if (!last) replaySilently(encoder, viewer.run, batch[0]);
      if (batch.length === 0) return encoder.heartbeat;
      last = batch.at(-1);
      let text = '';
      for (const entry of batch) text += encoder.encode(entry);
      return text;
    };
    viewer.batches.subscribe({
      next: (batch) => {
        try {
          const text = encode(batch);
          if (text === '') return;
          viewer.wrote();
          // The end of the response leaves together with the end of the text.
          if (last && isTerminal(last)) response.socket?.cork();
          response.write(text);
        } catch (error) {
          // What can't be encoded, such as JSON nested too deeply to be written, ends this response alone.
          logger.error(error);
          response.destroy();
        }
      },
      complete: () => {
        const broken = dialect.onFailure === 'break-off' && last?.type !== 'done';
        if (broken) response.socket?.destroySoon();
        else response.end();
      },
    });
    // Nothing to show yet: the headers leave alone.
    if (!response.headersSent) response.flushHeaders();
  });
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
