import type { Response } from 'express';
import type { Entry } from '../runs/entry.js';
import type { WrittenDialect } from './dialects/dialect.js';
import type { Viewer } from './viewer.js';

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
  response.status(200).set({ ...STREAM_HEADERS, 'Content-Type': dialect.contentType });
  response.flushHeaders();
  return new Promise((resolve) => {
    let last: Entry | undefined;
    if (response.closed) resolve();
    response.once('close', resolve);
    viewer.batches.subscribe({
      next: (batch) => {
        last = batch.at(-1) ?? last;
        const text = batch.length === 0 ? dialect.heartbeat : batch.map(dialect.encode).join('');
        if (text !== '') response.write(text);
      },
      complete: () => {
        const broken = dialect.onFailure === 'break-off' && last?.type !== 'done';
        if (broken) response.socket?.destroySoon();
        else response.end();
      },
    });
  });
}
