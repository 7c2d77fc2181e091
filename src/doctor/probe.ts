import type { Response } from 'express';
import { randomBytes } from 'node:crypto';
import { take, timer, type Observable } from 'rxjs';
import type { ProbePlan } from './probe.schema.js';

/** Those of every stream; what a proxy makes of them is what a probe is for. */
const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'private, no-cache, no-store, must-revalidate, max-age=0, no-transform',
  Connection: 'keep-alive',
  Expires: '0',
  Pragma: 'no-cache',
};

const DONE = 'event: done\ndata: {}\n\n';
const SHUTTING_DOWN = 'event: error\ndata: {"code":"shutting_down"}\n\n';

/** A stream that says of everything when it was sent, and remembers when its client left. */
export class Probe {
  private readonly startedAt = performance.now();
  private closedAfterMs: number | null = null;

  /** @param shutdown emits when the server is about to end */
  constructor(
    response: Response,
    { every_ms, for_ms, bytes, as, hint }: ProbePlan,
    shutdown: Observable<unknown>,
  ) {
    response.req.socket.setNoDelay(true);
    response.writeHead(200, { ...HEADERS, ...(hint === 'on' && { 'X-Accel-Buffering': 'no' }) });
    const prefix = as === 'event' ? 'data: ' : ': ';
    const sending = timer(0, every_ms)
      .pipe(take(Math.floor(for_ms / every_ms) + 1))
      .subscribe({
        next: (n) => {
          const pad = randomBytes(bytes).toString('base64url').slice(0, bytes);
          response.write(`${prefix}${JSON.stringify({ n, at: this.ageMs, pad })}\n\n`);
        },
        complete: () => response.end(DONE),
      });
    const ending = shutdown.subscribe(() => {
      sending.unsubscribe();
      response.end(SHUTTING_DOWN);
    });
    response.once('close', () => {
      this.closedAfterMs = this.ageMs;
      sending.unsubscribe();
      ending.unsubscribe();
    });
  }

  /** Times in milliseconds since the probe began. */
  get state() {
    return { age_ms: this.ageMs, closed_after_ms: this.closedAfterMs };
  }

  private get ageMs(): number {
    return performance.now() - this.startedAt;
  }
}
