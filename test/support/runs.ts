import { setTimeout as sleep } from 'node:timers/promises';
import { open, type HttpCall } from './http.js';
import { parseSse, type SseEvent } from './sse.js';

export interface AskOptions {
  path?: string;
  headers?: Record<string, string>;
  /** Beside the model and one message. */
  body?: object;
}

/** Starts a run and views it. */
export function ask(
  port: number,
  model: string,
  { path = '/v1/chat/stream', headers, body }: AskOptions = {},
): HttpCall {
  const messages = [{ role: 'user', content: 'hi' }];
  return open({ port, path, headers, body: { model, messages, ...body } });
}

export interface ViewOptions {
  /** The number of the last event that was seen, in Last-Event-ID. */
  after?: number;
  /** Further parameters. */
  query?: string;
  headers?: Record<string, string>;
}

/** Views a run that was started before. */
export function view(
  port: number,
  id: string,
  { after, query, headers }: ViewOptions = {},
): HttpCall {
  const path = `/v1/runs/${id}/events${query === undefined ? '' : `?${query}`}`;
  const cursor = after === undefined ? undefined : { 'last-event-id': `${id}:${after}` };
  return open({ port, path, headers: { ...cursor, ...headers } });
}

export async function runIdOf(call: HttpCall): Promise<string> {
  return String((await call.headers)['sluice-run-id']);
}

export interface Answer<T> {
  status: number;
  headers: Awaited<HttpCall['headers']>;
  body: T;
}

export interface State {
  id: string;
  status: string;
  finish_reason: string | null;
  usage: Record<string, unknown> | null;
  error: { code: string } | null;
  ended_at: string | null;
}

export interface Failure {
  error: { message: string; type: string; param: string | null; code: string };
}

/** The whole answer of a call; its body parsed where it is JSON. */
export async function answerOf<T = Failure>(call: HttpCall): Promise<Answer<T>> {
  await call.ended;
  const headers = await call.headers;
  const isJson = headers['content-type']?.startsWith('application/json');
  const body = (isJson ? JSON.parse(call.text()) : call.text()) as T;
  return { status: await call.status, headers, body };
}

export function stateOf(port: number, id: string, headers?: Record<string, string>) {
  return answerOf<State>(open({ port, path: `/v1/runs/${id}`, headers }));
}

/** Resolves with the state of a run when this instance knows that it is over. */
export function settled(port: number, id: string, headers?: Record<string, string>) {
  return stateWhen(({ ended_at }) => ended_at != null, port, id, headers);
}

/** Resolves with the state of a run when it is as expected; other instances hear of it a bit later. */
export async function stateWhen(
  expected: (state: State) => boolean,
  port: number,
  id: string,
  headers?: Record<string, string>,
): Promise<State> {
  const signal = AbortSignal.timeout(5_000);
  for (;;) {
    const { body } = await stateOf(port, id, headers);
    if (expected(body)) return body;
    await sleep(10, undefined, { signal }).catch(() => {
      throw new Error(`5 s passed, and the state is ${JSON.stringify(body)}`);
    });
  }
}

export function cancel(port: number, id: string, headers?: Record<string, string>) {
  return answerOf<State>(open({ port, method: 'POST', path: `/v1/runs/${id}/cancel`, headers }));
}

export function seqOf({ id }: SseEvent): number {
  return Number(id.split(':')[1]);
}

/** The text that events of the format `json` carry. */
export function textOfEvents(events: readonly SseEvent[]): string {
  return events
    .filter(({ event }) => event === 'message')
    .map(({ data }) => (JSON.parse(data) as { content: string }).content)
    .join('');
}

/** All events of a stream that ended, or was left, after whole events alone. */
export function eventsOf(call: HttpCall): SseEvent[] {
  return parseSse(call.text()).events;
}

/** `[1, 2, … count]`. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}
