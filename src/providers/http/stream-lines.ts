import type { IncomingMessage } from 'node:http';
import { Observable, Subscription, type Subscriber } from 'rxjs';
import { ChatError, toChatError, truncated } from '../../errors/chat-error.js';
import { LineDecoder } from './line-decoder.js';

/** After the last line upstream gets this long to end its body, which keeps the connection. */
const BODY_END_MS = 1_000;

/** What it may still say in that time: the end of a body is a few bytes. */
const MAX_REST_BYTES = 65_536;

/** The body of a refusal gets this long: the status was there before it. */
const REFUSAL_MS = 2_000;

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
  open: (demand: Subscription) => Promise<IncomingMessage>,
  parser: (subscriber: Subscriber<T>) => LineParser,
  maxLineLength: number,
): Observable<T> {
  return new Observable((subscriber) => {
    const demand = new Subscription();
    let body: IncomingMessage | undefined;
    let saidAll = false;

    const read = (response: IncomingMessage) => {
      body = response;
      const parse = parser(subscriber);
      const lines = new LineDecoder((line) => {
        saidAll = parse(line);
        if (saidAll) subscriber.complete();
        return !subscriber.closed;
      });
      const take = (bytes: Buffer) => {
        if (subscriber.closed) return;
        try {
          lines.push(bytes);
          if (lines.pendingLength > maxLineLength) {
            const message = `The provider sent a line of over ${maxLineLength} characters.`;
            throw new ChatError('provider_malformed', message);
          }
        } catch (error) {
          subscriber.error(toChatError(error));
        }
      };
      response.on('data', take);
      // What came along with the headers leaves the stream's queue before more comes, which then goes
      // past it: the queue would take a turn of its own for every packet.
      const push = response.push.bind(response);
      response.push = (bytes: Buffer | null) => {
        if (bytes === null || subscriber.closed) return push(bytes);
        take(bytes);
        return true;
      };
      response.on('end', () => {
        try {
          // Some servers leave out the end of their last event. One that was cut can't be read.
          lines.push(LINE_ENDS);
          subscriber.complete();
        } catch (error) {
          const cut = error instanceof ChatError && error.code === 'provider_malformed';
          subscriber.error(cut ? truncated(error) : toChatError(error));
        }
      });
      // A body without its last HTTP chunk, or a reset; it may have come before this listener.
      response.on('error', (cause) => subscriber.error(truncated(cause)));
      if (response.destroyed) subscriber.error(truncated());
    };

    open(demand).then(read, (error: unknown) => subscriber.error(toChatError(error)));

    return () => {
      // All of it came in one packet: read to its end, it frees the connection by itself.
      if (body?.complete) return;
      if (saidAll && body) endSoon(body, demand);
      else demand.unsubscribe();
    };
  });
}

function endSoon(body: IncomingMessage, demand: Subscription) {
  const timer = setTimeout(() => demand.unsubscribe(), BODY_END_MS);
  body.once('close', () => clearTimeout(timer));
  let left = MAX_REST_BYTES;
  body.on('data', ({ length }: Buffer) => {
    left -= length;
    if (left < 0) demand.unsubscribe();
  });
}

/**
 * Reads the body of a refusal, as much of it as comes in time.
 * @param maxBytes further bytes are dropped, with the connection
 */
export async function readText(body: IncomingMessage, maxBytes = 65_536): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  const timer = setTimeout(() => body.destroy(), REFUSAL_MS);
  try {
    for await (const part of body as AsyncIterable<Buffer>) {
      parts.push(part);
      length += part.length;
      if (length > maxBytes) break;
    }
  } catch {
    // What arrived of it has to do: the status alone says enough.
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(parts).toString('utf8', 0, maxBytes);
}
