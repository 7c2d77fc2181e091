import { randomUUID } from 'node:crypto';
import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { Subscriber } from 'rxjs';
import { z } from 'zod';
import { ChatError } from '../../errors/chat-error.js';
import type { Frame } from '../chat-provider.js';
import type { Delta } from '../chunk.js';
import type { LineParser } from '../http/stream-lines.js';
import { parseJson, reported } from '../http/upstream-error.js';
import { expectShallow } from '../nesting.js';

const toolCall = z.object({
  id: z.string().nullish(),
  function: z.object({ name: z.string(), arguments: z.unknown().optional() }),
});

/** As in OpenAI's chunks, but that fields without a value are left out. */
const tokenLogprob = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.number()).nullable().default(null),
});

/** A line of Ollama's answer, as much of it as OpenAI's chunks can say. */
const chatLine = z.object({
  error: z.unknown().optional(),
  message: z
    .object({
      content: z.string().nullish(),
      thinking: z.string().nullish(),
      tool_calls: z.array(toolCall).nullish(),
    })
    .nullish(),
  logprobs: z
    .array(tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob).default([]) }))
    .nullish()
    .catch(null),
  done: z.boolean().nullish(),
  done_reason: z.string().nullish(),
  prompt_eval_count: z.number().nullish(),
  eval_count: z.number().nullish(),
});

type ChatLine = z.infer<typeof chatLine>;
type Logprobs = ChatCompletionChunk.Choice.Logprobs;

/** Reads the lines of an answer and emits OpenAI's chunks; the line with `done` is the last. */
export function chatParser(model: string, subscriber: Subscriber<Frame>): LineParser {
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    object: 'chat.completion.chunk' as const,
    created: Math.floor(Date.now() / 1000),
    model,
  };
  let started = false;
  let toolCalls = 0;

  const emit = (delta: Delta, rest?: { finish_reason?: string; logprobs?: Logprobs }) => {
    const choice = { index: 0, delta, finish_reason: null, ...rest };
    subscriber.next({ chunk: { ...head, choices: [choice] } });
  };

  return (text) => {
    if (text.trim() === '') return false;
    const line = parseLine(text);
    if (!started) emit({ role: 'assistant', content: '' });
    started = true;

    const delta = deltaOf(line.message, toolCalls);
    toolCalls += delta.tool_calls?.length ?? 0;
    const logprobs = logprobsOf(line);
    if (Object.keys(delta).length > 0 || logprobs) emit(delta, logprobs && { logprobs });
    if (!line.done) return false;

    emit({}, { finish_reason: toolCalls > 0 ? 'tool_calls' : finishReasonOf(line) });
    const usage = usageOf(line);
    if (usage) subscriber.next({ chunk: { ...head, choices: [], usage } });
    return true;
  };
}

function parseLine(text: string): ChatLine {
  const json = parseJson(text);
  expectShallow(json, text);
  const line = chatLine.safeParse(json);
  if (!line.success) {
    // Not what is wrong with it: that could quote a piece of somebody's answer.
    throw new ChatError('provider_malformed', 'The provider sent a line that is no chat answer.');
  }
  if (line.data.error != null) throw reported(text);
  return line.data;
}

/** @param toolCallsBefore how many tool calls earlier lines had */
function deltaOf(message: ChatLine['message'], toolCallsBefore: number): Delta {
  const { thinking, content, tool_calls } = message ?? {};
  return {
    ...(thinking && { reasoning_content: thinking }),
    ...(content && { content }),
    ...(tool_calls?.length && {
      tool_calls: tool_calls.map((call, position) => ({
        index: toolCallsBefore + position,
        // Ollama gives ids since late 2025: https://github.com/ollama/ollama/pull/12956
        id: call.id || `call_${randomUUID()}`,
        type: 'function' as const,
        function: {
          name: call.function.name,
          arguments: JSON.stringify(call.function.arguments ?? {}),
        },
      })),
    }),
  };
}

function logprobsOf({ logprobs }: ChatLine): Logprobs | undefined {
  return logprobs?.length ? { content: logprobs, refusal: null } : undefined;
}

/** Ollama's other reasons, `load` and `unload`, end an answer without text. */
function finishReasonOf({ done_reason }: ChatLine) {
  return done_reason === 'length' ? 'length' : 'stop';
}

/** Ollama leaves out a count of zero, such as the prompt's when all of it was cached. */
function usageOf({ prompt_eval_count, eval_count }: ChatLine) {
  if (prompt_eval_count == null && eval_count == null) return undefined;
  const prompt_tokens = prompt_eval_count ?? 0;
  const completion_tokens = eval_count ?? 0;
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}
