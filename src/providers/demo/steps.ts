import { randomUUID } from 'node:crypto';
import {
  concat,
  defer,
  EMPTY,
  expand,
  ignoreElements,
  map,
  of,
  timer,
  type Observable,
} from 'rxjs';
import type { Delta } from '../chunk.js';
import { tokensOf } from './tokens.js';

/** What a demo model does next: it sends a token or says why it ends. */
export type Step = { delta: Delta } | { finish: 'stop' | 'tool_calls' | 'length' };

export interface ToolCall {
  name: string;
  /** JSON of an object. */
  arguments: string;
}

/** @param paceMs pause before every token; as a person reads along unless given */
export function say(text: string, paceMs?: number): Observable<Step> {
  return paced(() => tokensOf(text), paceMs).pipe(map((content) => ({ delta: { content } })));
}

export function think(text: string): Observable<Step> {
  return paced(() => tokensOf(text)).pipe(
    map((reasoning_content) => ({ delta: { reasoning_content } })),
  );
}

/** A tool call as services stream it: its id and name first, then its arguments in pieces. */
export function call({ name, arguments: json }: ToolCall): Observable<Step> {
  const start = () =>
    of({
      index: 0,
      id: `call_${randomUUID()}`,
      type: 'function' as const,
      function: { name, arguments: '' },
    });
  const pieces = () => json.match(/.{1,6}/gsu) ?? [];
  return concat(
    defer(start),
    paced(pieces).pipe(map((piece) => ({ index: 0, function: { arguments: piece } }))),
  ).pipe(map((toolCall) => ({ delta: { tool_calls: [toolCall] } })));
}

export function finish(reason: 'stop' | 'tool_calls'): Observable<Step> {
  return of({ finish: reason });
}

export function wait(ms: number): Observable<never> {
  return timer(ms).pipe(ignoreElements());
}

/** Each token after its pause. It is cut off the text then, so that a long one costs no memory. */
function paced(tokens: () => Iterable<string>, paceMs?: number): Observable<string> {
  return defer(() => {
    const left = tokens()[Symbol.iterator]();
    const next = (index: number) => {
      const token = left.next();
      return token.done ? EMPTY : timer(paceMs ?? humanPaceMs(index)).pipe(map(() => token.value));
    };
    return next(0).pipe(expand((_, index) => next(index + 1)));
  });
}

/** 25 to 40 ms, uneven and the same every time. */
function humanPaceMs(index: number): number {
  return 25 + ((index * 7) % 16);
}
