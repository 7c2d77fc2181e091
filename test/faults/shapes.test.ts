import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc, { type Arbitrary } from 'fast-check';
import { ERROR_CODES } from '../../src/errors/chat-error.js';
import { startApp, type RunningApp } from '../support/app.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';
import { FORMS, play, type Form } from './cell.js';

const FORM_NAMES = Object.keys(FORMS) as Form[];

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  // The frames that a request brings along.
  upstream.script('shapes', (exchange) => {
    const frames = JSON.parse(exchange.request.body.messages![0]!.content as string) as object[];
    for (const frame of frames) exchange.chunk(frame);
    exchange.done();
    exchange.end();
  });
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OLLAMA_BASE_URL: upstream.url,
  });
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

/** Mostly as it should be, sometimes anything that JSON can say. */
function mostly<T>(right: Arbitrary<T>): Arbitrary<unknown> {
  return fc.oneof({ weight: 6, arbitrary: right }, { weight: 1, arbitrary: fc.jsonValue() });
}

function shape(fields: Record<string, Arbitrary<unknown>>): Arbitrary<unknown> {
  const values = Object.entries(fields).map(([name, right]) => [name, mostly(right)]);
  return fc.record(Object.fromEntries(values) as typeof fields, { requiredKeys: [] });
}

const text = fc.string({ unit: 'binary', maxLength: 5 });
const called = shape({ name: text, arguments: text });
const logprobs = shape({ content: fc.array(shape({ token: text, logprob: fc.double() })) });
const delta = shape({
  role: fc.constant('assistant'),
  content: text,
  reasoning: text,
  reasoning_content: text,
  refusal: text,
  tool_calls: fc.array(shape({ index: fc.nat(3), id: text, type: text, function: called })),
  function_call: called,
  audio: fc.jsonValue(),
});
const usage = shape({
  prompt_tokens: fc.nat(),
  completion_tokens: fc.nat(),
  total_tokens: fc.nat(),
});
const finishReason = fc.constantFrom(null, 'stop', 'length', 'error');
const chunk = shape({
  id: fc.constant('chatcmpl-1'),
  object: fc.constant('chat.completion.chunk'),
  created: fc.nat(),
  model: text,
  system_fingerprint: text,
  service_tier: fc.constantFrom('default', 'flex'),
  choices: fc.array(shape({ index: fc.nat(2), delta, logprobs, finish_reason: finishReason }), {
    maxLength: 2,
  }),
  usage,
});
const line = shape({
  message: shape({
    content: text,
    thinking: text,
    tool_calls: fc.array(shape({ function: called })),
  }),
  logprobs: fc.array(shape({ token: text, logprob: fc.double() })),
  done: fc.boolean(),
  done_reason: text,
  prompt_eval_count: fc.nat(),
  eval_count: fc.nat(),
});

const CODE = `(${ERROR_CODES.join('|')})`;

/** What any stream may end in. */
const ENDS = new RegExp(`^(answer|\\d{3} ${CODE}|.* \\+ (done|${CODE}))$`, 's');

const stop = { index: 0, delta: {}, finish_reason: 'stop' };

/** What broke something once. */
const EXAMPLES = {
  openai: [
    [{ choices: [stop] }, { choices: [], usage: { prompt_tokens: 1, completion_tokens: false } }],
    [{ choices: [stop] }, { choices: [], usage: { prompt_tokens: -1, completion_tokens: 1e308 } }],
    [{ choices: [{ ...stop, delta: { reasoning: [1] } }] }],
    [{ choices: [{ ...stop, delta: { content: [null] } }] }],
    [{ choices: [{ finish_reason: { toString: [] } }] }],
    [
      { choices: [{ delta: { audio: true } }] },
      { choices: [{ ...stop, delta: { audio: { a: 1 } } }] },
    ],
    [{ choices: [{ ...stop, message: 'none' }] }, { choices: [stop] }],
  ],
  ollama: [[{ message: { content: 'a' }, done: true, prompt_eval_count: -1, eval_count: 0.5 }]],
};

it.each([
  ['openai', chunk],
  ['ollama', line],
] as const)(
  'whatever shape the frames of %s have, each form comes to one proper end',
  async (at, frame) => {
    const frames = fc.array(frame, { maxLength: 4 });
    const form = fc.constantFrom(...FORM_NAMES);
    const examples = EXAMPLES[at].flatMap((sent) =>
      FORM_NAMES.map((name): [unknown[], Form] => [sent, name]),
    );
    await fc.assert(
      fc.asyncProperty(frames, form, async (sent, form) => {
        const { outcome } = await play(server.port, form, `${at}/shapes`, JSON.stringify(sent));
        expect(outcome).toMatch(ENDS);
        expect(outcome).not.toContain('internal');
      }),
      { examples, numRuns: 200 },
    );
  },
  100_000,
);
