import type { IncomingHttpHeaders } from 'node:http';
import { open } from '../support/http.js';
import { runIdOf, settled } from '../support/runs.js';
import { parseSse, type SseEvent } from '../support/sse.js';
import { TEXT } from '../support/upstream/index.js';

/** The forms in which a client asks: two that stream, and one whole answer. */
export const FORMS = {
  json: { path: '/v1/chat/stream' },
  openai: { path: '/v1/chat/completions', stream: true },
  whole: { path: '/v1/chat/completions', stream: false },
};

export type Form = keyof typeof FORMS;

/** What a client got for one request. */
export interface Cell {
  /** `answer` for all of `TEXT`, `<status> <code>`, or what a stream said and its end: `<text> + <code>`. */
  outcome: string;
  /** From the request to the end of the response. */
  ms: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** @param id what the user says, so that the upstream's requests for this cell can be told */
export async function play(port: number, form: Form, model: string, id: string): Promise<Cell> {
  const { path, ...rest } = FORMS[form];
  const startedAt = performance.now();
  const body = { model, messages: [{ role: 'user', content: id }], ...rest };
  const call = open({ port, path, body });
  const ended = await call.ended;
  const ms = performance.now() - startedAt;
  const got = { ms, headers: await call.headers, body: call.text() };
  if (ended !== 'complete') return { outcome: ended, ...got };

  const status = await call.status;
  if (status === 200) return { outcome: outcomeOf(form, got.body), ...got };
  // The body may have the provider's own code instead of ours.
  const { error } = await settled(port, await runIdOf(call));
  return { outcome: `${status} ${error?.code ?? 'no code'}`, ...got };
}

function outcomeOf(form: Form, body: string): string {
  const { text, end } = READERS[form](body);
  return end === 'done' && text === TEXT ? 'answer' : `${text} + ${end}`;
}

interface Ending {
  text: string;
  /** `done`, the code of an error, or what is wrong with the stream. */
  end: string;
}

const READERS: Record<Form, (body: string) => Ending> = {
  json: (body) => readEvents(eventsOf(body)),
  openai: (body) => readChunks(eventsOf(body)),
  whole: (body) => {
    const { choices } = JSON.parse(body) as Completion;
    return { text: choices[0]!.message!.content, end: 'done' };
  },
};

function eventsOf(body: string): SseEvent[] {
  const { events, unterminated } = parseSse(body);
  if (unterminated !== '') throw new Error(`half an event: ${unterminated}`);
  return events;
}

interface Completion {
  choices: {
    index: number;
    delta?: { content?: string };
    message?: { content: string };
    finish_reason?: string | null;
  }[];
}

const TERMINALS = ['done', 'cancelled', 'error'];

/** The native dialect: `start` first, ids without gaps, and one terminal, last. */
function readEvents(events: SseEvent[]): Ending {
  const text = events
    .filter(({ event }) => event === 'message')
    .map(({ data }) => (JSON.parse(data) as { content: string }).content)
    .join('');
  const terminals = events.filter(({ event }) => TERMINALS.includes(event));
  const last = events.at(-1)!;
  if (terminals.length !== 1 || terminals[0] !== last) {
    return { text, end: `events ${events.map(({ event }) => event).join(' ')}: broken` };
  }
  const { id: run } = JSON.parse(events[0]!.data) as { id: string };
  if (events[0]!.event !== 'start' || events.some(({ id }, i) => id !== `${run}:${i + 1}`)) {
    return { text, end: `ids ${events.map(({ id }) => id).join(' ')}: broken` };
  }
  if (last.event !== 'error') return { text, end: last.event };
  return { text, end: (JSON.parse(last.data) as { code: string }).code };
}

/** OpenAI's: `[DONE]` after a finish reason, or an error and no `[DONE]`. */
function readChunks(events: SseEvent[]): Ending {
  const last = events.at(-1)!.data;
  const chunks = events.slice(0, -1).map(({ data }) => JSON.parse(data) as Completion);
  const choices = chunks.flatMap((chunk) => chunk.choices);
  const text = choices.map(({ delta }) => delta?.content ?? '').join('');
  if (last !== '[DONE]') {
    const { error } = JSON.parse(last) as { error: { code: string } };
    return { text, end: error.code };
  }
  const finished = choices.filter((choice) => choice.finish_reason).map(({ index }) => index);
  const isOnce = finished.length > 0 && new Set(finished).size === finished.length;
  return { text, end: isOnce ? 'done' : `${finished.length} finish reasons` };
}

/** Lets so many tasks run at a time, in the order in which they are given. */
export function limited(concurrency: number): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (task) => {
    if (running === concurrency) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}
