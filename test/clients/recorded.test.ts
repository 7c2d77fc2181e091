import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { setImmediate as nextTurn } from 'node:timers/promises';
import OpenAI from 'openai';
import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import { startApp, type RunningApp } from '../support/app.js';
import { describeRecorded } from '../support/recorded.js';
import { ask, eventsOf } from '../support/runs.js';
import type { Exchange } from '../support/upstream/index.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

/** Streams of at most so many bytes are cut at every place, longer ones at so many. */
const SMALL = 5_000;
const PLACES = 64;
/** Longer streams are sent byte by byte in part: so much of the beginning, and of the end. */
const LARGE = 60_000;
const AT_ONCE = 16;

/** What a client makes of an answer. */
interface Answer {
  text: string;
  reasoning: string;
  calls: { id?: string; name: string; arguments: string }[];
  finish_reason?: string | null;
}

type Reasoning = Record<'reasoning' | 'reasoning_content', string | null | undefined>;
type Reader = (model: string) => Promise<Answer>;

const messages = [{ role: 'user' as const, content: 'hi' }];

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1` });
});
afterAll(async () => {
  await server.close();
  await upstream.close();
});

const clientOf = (url: string) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', logLevel: 'off', maxRetries: 0 });

/** Adds a piece of a call to what came of it before. */
function addCall(calls: Answer['calls'], index: number, piece: Partial<Answer['calls'][number]>) {
  const call = (calls[index] ??= { name: '', arguments: '' });
  if (piece.id) call.id = piece.id;
  call.name ||= piece.name ?? '';
  call.arguments += piece.arguments ?? '';
}

async function streamOf(url: string, model: string): Promise<Answer> {
  const answer: Answer = { text: '', reasoning: '', calls: [] };
  const stream = await clientOf(url).chat.completions.create({ model, messages, stream: true });
  for await (const { choices } of stream) for (const choice of choices) add(answer, choice);
  return { ...answer, calls: answer.calls.filter(Boolean) };
}

function add(answer: Answer, { delta, finish_reason }: ChatCompletionChunk.Choice): void {
  // Azure's frames may have none.
  const { content, tool_calls, ...rest } = (delta as typeof delta | undefined) ?? {};
  const { reasoning, reasoning_content } = rest as unknown as Reasoning;
  answer.text += content ?? '';
  answer.reasoning += reasoning_content || reasoning || '';
  for (const { index, id, function: called } of tool_calls ?? []) {
    addCall(answer.calls, index, { id, ...called });
  }
  answer.finish_reason = finish_reason ?? answer.finish_reason;
}

const READERS: Record<string, Reader> = {
  openai: (model) => streamOf(server.url, model),

  json: async (model) => {
    const answer: Answer = { text: '', reasoning: '', calls: [] };
    const call = ask(server.port, model);
    await call.ended;
    for (const { event, data: json } of eventsOf(call)) {
      const data = JSON.parse(json) as Record<
        'index' | 'name' | 'content' | 'arguments' | 'finish_reason',
        string
      >;
      if (event === 'message') answer.text += data.content;
      if (event === 'reasoning') answer.reasoning += data.content;
      if (event === 'tool_call') addCall(answer.calls, Number(data.index), data);
      if (event === 'done') answer.finish_reason = data.finish_reason;
    }
    return { ...answer, calls: answer.calls.filter(Boolean) };
  },

  'one object': async (model) => {
    const { choices } = await clientOf(server.url).chat.completions.create({ model, messages });
    const { message, finish_reason } = choices[0]!;
    const { reasoning, reasoning_content } = message as unknown as Reasoning;
    return {
      text: message.content ?? '',
      reasoning: reasoning_content ?? reasoning ?? '',
      calls: (message.tool_calls ?? []).map((call) => ({
        id: call.id,
        ...(call as { function: { name: string; arguments: string } }).function,
      })),
      finish_reason,
    };
  },
};
const FORMS = Object.keys(READERS);

/** Plays the pieces, each in a write of its own and, on one machine, in a read of its own. */
async function play(exchange: Exchange, pieces: Iterable<Buffer>): Promise<void> {
  for (const piece of pieces) {
    exchange.gone.throwIfAborted();
    exchange.raw(piece);
    await nextTurn();
  }
  exchange.end();
}

function* bytesOf(bytes: Buffer): Generator<Buffer> {
  const { length } = bytes;
  const middle = length > 2 * LARGE ? [LARGE, length - LARGE] : [length, length];
  for (let at = 0; at < middle[0]!; at += 1) yield bytes.subarray(at, at + 1);
  if (middle[0] !== middle[1]) yield bytes.subarray(middle[0], middle[1]);
  for (let at = middle[1]!; at < length; at += 1) yield bytes.subarray(at, at + 1);
}

describeRecorded('a recorded stream', ({ name, bytes }) => {
  let expected: Answer;

  beforeAll(async () => {
    upstream.script(name, (exchange) => play(exchange, [bytes]));
    expected = await streamOf(upstream.url, name);
    expect(expected.finish_reason).toMatch(/^(stop|tool_calls)$/);
    expect(expected.text + expected.calls.map((call) => call.name).join('')).not.toBe('');
  });

  it.each(FORMS)('is, as %s, what the openai package reads directly', async (form) => {
    expect(await READERS[form]!(name)).toEqual(expected);
  });

  it.each(FORMS)(
    'is so when every byte comes by itself: %s',
    async (form) => {
      upstream.script(`${name}-bytes`, (exchange) => play(exchange, bytesOf(bytes)));
      expect(await READERS[form]!(`${name}-bytes`)).toEqual(expected);
    },
    60_000,
  );

  it('is so wherever it is cut', async () => {
    const step = bytes.length > SMALL ? Math.ceil(bytes.length / PLACES) : 1;
    const places = Array.from({ length: Math.ceil(bytes.length / step) }, (_, at) => at * step);
    const cut = async (at: number, number: number) => {
      const model = `${name}-${at}`;
      const pieces = [bytes.subarray(0, at), bytes.subarray(at)].filter(({ length }) => length > 0);
      upstream.script(model, (exchange) => play(exchange, pieces));
      const form = FORMS[number % FORMS.length]!;
      expect({ at, form, ...(await READERS[form]!(model)) }).toEqual({ at, form, ...expected });
    };
    for (let next = 0; next < places.length; next += AT_ONCE) {
      const some = places.slice(next, next + AT_ONCE);
      await Promise.all(some.map((at, number) => cut(at, next + number)));
    }
  }, 120_000);
});
