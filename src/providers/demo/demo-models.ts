import { concat, NEVER, throwError, type Observable } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { ChatRequest } from '../chat-provider.js';
import { lastText, toolResult } from './conversation.js';
import { call, finish, say, think, wait, type Step } from './steps.js';
import { answerTo, LONG_TEXT, reportOf, SHORT_TEXT, THOUGHTS } from './texts.js';
import { sampleCall } from './sample-call.js';

export interface DemoModel {
  /** One line for the documentation. */
  description: string;
  /** Time before the first token, or before the failure that comes instead, in milliseconds. */
  firstTokenMs?: number;
  /** A cold stream of what the model does from then on. */
  play: (request: ChatRequest) => Observable<Step>;
}

/**
 * What a developer of a client must be able to rehearse without paying, as payment services have
 * test cards: one model a situation. The first is the default.
 */
export const DEMO_MODELS: Readonly<Record<string, DemoModel>> = {
  answer: {
    description: 'quotes what was asked and tells how to connect a real provider',
    play: ({ messages }) =>
      concat(say(answerTo(lastText(messages), Object.keys(DEMO_MODELS))), finish('stop')),
  },
  echo: {
    description: 'sends the last user message back, at 5 ms a token',
    firstTokenMs: 20,
    play: ({ messages }) => concat(say(lastText(messages), 5), finish('stop')),
  },
  'slow-start': {
    description: 'needs 8 seconds to its first token',
    firstTokenMs: 8_000,
    play: () => concat(say(SHORT_TEXT), finish('stop')),
  },
  slow: {
    description: 'sends one token a second',
    play: () => concat(say(SHORT_TEXT, 1_000), finish('stop')),
  },
  stall: {
    description: 'sends some tokens, then goes silent for ever',
    play: () => concat(say(SHORT_TEXT), NEVER),
  },
  error: {
    description: 'fails before its first token with `provider_unavailable`',
    play: () =>
      throwError(() => new ChatError('provider_unavailable', 'demo/error is never available.')),
  },
  'error-mid': {
    description: 'sends some tokens, then fails with `provider_error`',
    play: () =>
      concat(
        say(SHORT_TEXT),
        wait(100),
        throwError(() => new ChatError('provider_error', 'demo/error-mid fails in mid-answer.')),
      ),
  },
  truncate: {
    description: 'sends some tokens, then ends without a finish reason',
    play: () => say(SHORT_TEXT),
  },
  'rate-limit': {
    description: 'refuses with `provider_rate_limited`, to be retried after 7 seconds',
    play: () =>
      throwError(
        () =>
          new ChatError('provider_rate_limited', 'demo/rate-limit is always at its limit.', {
            retryAfterMs: 7_000,
          }),
      ),
  },
  reasoning: {
    description: 'streams its reasoning before its answer',
    play: () => concat(think(THOUGHTS), say(SHORT_TEXT), finish('stop')),
  },
  tools: {
    description: "calls the first of the request's tools, and answers once it has the result",
    play: ({ messages, tools }) => {
      const result = toolResult(messages);
      return result === undefined
        ? concat(call(sampleCall(tools)), finish('tool_calls'))
        : concat(say(reportOf(result)), finish('stop'));
    },
  },
  long: {
    description: 'sends about 2,000 tokens at 5 ms a token',
    play: () => concat(say(LONG_TEXT, 5), finish('stop')),
  },
};
