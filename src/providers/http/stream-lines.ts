import { Observable, Subscription, type Subscriber } from 'rxjs';
import { ChatError, toChatError, truncated } from '../../errors/chat-error.js';
import type { UpstreamResponse } from './connection.js';
import { LineDecoder } from './line-decoder.js';

/** After the last line upstream gets this long to end its body, which keeps the connection. */
const BODY_END_MS = 1_000;

/** What it may still say in that time: the end of a body is a few bytes. */
const MAX_REST_BYTES = 65_536;

/** Ends a line, and the server-sent event that it is part of. */
const LINE_ENDS = Buffer.from('\n\n');

/** Turns lines into values. Returns true at the line after which upstream has no more to say. */
export type LineParser = (line: string) => boolean;

/**
 * A cold stream over the lines of an upstream's answer. Unsubscribing closes the request's socket.
 *
 * @param open sends a request that lasts until the demand is closed; its promise may reject with what
 *   the stream shall fail with
 * @param parser makes the parser of one answer, which emits to `subscriber`
 * @param maxLineLength in characters, so that an endless line is an error and not all memory
 */
export function streamLines<T>(
  open: (demand: Subscription) => Promise<UpstreamResponse>,
  parser: (subscriber: Subscriber<T>) => LineParser,
  maxLineLength: number,
): Observable<T> {
  return new Observable((subscriber) => {
    const demand = new Subscription();
    let saidAll = false;
    /** Whether the body has ended too, or was cut. */
    let isOver = false;
    /** What came of it after it had said all, in bytes. */
    let restLength = 0;
    let ending: NodeJS.Timeout | undefined;

    const over = () => {
      isOver = true;
      clearTimeout(ending);
    };
    const read = (response: UpstreamResponse) => {
      const parse = parser(subscriber);
      const lines = new LineDecoder((line) => {
        saidAll = parse(line);
        if (saidAll) subscriber.complete();
        return !subscriber.closed;
      });
      response.read({
        onData: (bytes) => {
          if (subscriber.closed) {
            restLength += bytes.length;
            if (restLength > MAX_REST_BYTES) demand.unsubscribe();
            return;
          }
          try {
            lines.push(bytes);
            if (lines.pendingLength > maxLineLength) {
              const message = `The provider sent a line of over ${maxLineLength} characters.`;
              throw new ChatError('provider_malformed', message);
            }
          } catch (error) {
            subscriber.error(toChatError(error));
          }
        },
        onEnd: () => {
          over();
          if (subscriber.closed) return;
          try {
            // Some servers leave out the end of their last event. One that was cut can't be read.
            lines.push(LINE_ENDS);
            subscriber.complete();
          } catch (error) {
            const cut = error instanceof ChatError && error.code === 'provider_malformed';
            subscriber.error(cut ? truncated(error) : toChatError(error));
          }
        },
        onError: (cause) => {
          over();
          if (!subscriber.closed) subscriber.error(truncated(cause));
        },
      });
    };

    open(demand).then(read, (error: unknown) => subscriber.error(toChatError(error)));

    return () => {
      // Read to its end, a body frees the connection by itself.
      if (isOver) return;
      if (saidAll) ending = setTimeout(() => demand.unsubscribe(), BODY_END_MS);
      else demand.unsubscribe();
    };
  });
}
