import { randomUUID } from 'node:crypto';
import { concatMap, defer, map, takeWhile, type Observable, type OperatorFunction } from 'rxjs';
import type { ChatRequest, Frame } from '../chat-provider.js';
import type { Delta } from '../chunk.js';
import { textOf } from './conversation.js';
import type { Step } from './steps.js';

const CHARACTERS_PER_TOKEN = 4;

/**
 * A model's steps as OpenAI's chunks, up to the most tokens that are asked for: the role before the
 * first, usage after the finish reason.
 */
export function asFrames(model: string, request: ChatRequest): OperatorFunction<Step, Frame> {
  const { messages, max_completion_tokens, max_tokens } = request;
  const limits = [max_completion_tokens, max_tokens];
  const limit = limits.find((each) => typeof each === 'number') ?? Infinity;
  return (steps): Observable<Frame> =>
    defer(() => {
      const head = {
        id: `chatcmpl-${randomUUID()}`,
        object: 'chat.completion.chunk' as const,
        created: Math.floor(Date.now() / 1000),
        model,
      };
      const frame = (delta: Delta, finish_reason: string | null = null) => ({
        chunk: { ...head, choices: [{ index: 0, delta, finish_reason }] },
      });

      let tokens = 0;
      return steps.pipe(
        map((step, index) => (index < limit ? step : ({ finish: 'length' } as const))),
        takeWhile((step) => 'delta' in step, true),
        concatMap((step, index) => {
          const before = index === 0 ? [frame({ role: 'assistant', content: '' })] : [];
          if ('delta' in step) {
            tokens += 1;
            return [...before, frame(step.delta)];
          }
          const usage = usageOf(promptTokens(messages), tokens);
          return [...before, frame({}, step.finish), { chunk: { ...head, choices: [], usage } }];
        }),
      );
    });
}

function promptTokens(messages: ChatRequest['messages']): number {
  const characters = messages.reduce((sum, message) => sum + textOf(message).length, 0);
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

function usageOf(prompt_tokens: number, completion_tokens: number) {
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}
