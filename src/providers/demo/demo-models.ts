import { concat, NEVER, throwError, type Observable } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { ChatRequest } from '../chat-provider.js';
import { lastText, toolResult } from './conversation.js';
import { call, finish, say, think, wait, type Step } from './steps.js';
import { answerTo, LONG_TEXT, reportOf, SHORT_TEXT, THOUGHTS } from './texts.js';
import { sampleCall } from './sample-call.js';

export interface DemoModel {
  /** Time before the first token, or before the failure that comes instead, in milliseconds. */
  firstTokenMs?: number;
  /** A cold stream of what the model does from then on. */
  play: (request: ChatRequest) => Observable<Step>;
}

/**
 * What a developer of a client must be able to rehearse without paying, as payment services have
 * test cards: one model a situation. The first is the default. README's "Rehearse" says what each does.
 */
export const DEMO_MODELS: Readonly<Record<string, DemoModel>> = {
  answer: {
    play: ({ messages }) =>
      concat(say(answerTo(lastText(messages), Object.keys(DEMO_MODELS))), finish('stop')),
  },
  echo: {
    firstTokenMs: 20,
    play: ({ messages }) => concat(say(lastText(messages), 5), finish('stop')),
  },
  'slow-start': {
    firstTokenMs: 8_000,
    play: () => concat(say(SHORT_TEXT), finish('stop')),
  },
  slow: {
    play: () => concat(say(SHORT_TEXT, 1_000), finish('stop')),
  },
  stall: {
    play: () => concat(say(SHORT_TEXT), NEVER),
  },
  error: {
    play: () =>
      throwError(() => new ChatError('provider_unavailable', 'demo/error is never available.')),
  },
  'error-mid': {
    play: () =>
      concat(
        say(SHORT_TEXT),
        wait(100),
        throwError(() => new ChatError('provider_error', 'demo/error-mid fails in mid-answer.')),
      ),
  },
  truncate: {
    play: () => say(SHORT_TEXT),
  },
  'rate-limit': {
    play: () =>
      throwError(
        () =>
          new ChatError('provider_rate_limited', 'demo/rate-limit is always at its limit.', {
            retryAfterMs: 7_000,
          }),
      ),
  },
  reasoning: {
    play: () => concat(think(THOUGHTS), say(SHORT_TEXT), finish('stop')),
  },
  tools: {
    play: ({ messages, tools }) => {
      const result = toolResult(messages);
      return result === undefined
        ? concat(call(sampleCall(tools)), finish('tool_calls'))
        : concat(say(reportOf(result)), finish('stop'));
    },
  },
  long: {
    play: () => concat(say(LONG_TEXT, 5), finish('stop')),
  },
};
