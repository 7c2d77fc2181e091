import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import {
  expectSuccess,
  type Delta,
  type ToolCallPiece,
  type UpstreamChoice,
} from '../providers/chunk.js';

type OpenAIChoice = ChatCompletionChunk.Choice;
type FinishReason = NonNullable<OpenAIChoice['finish_reason']>;

type Reasoning = Pick<Delta, 'reasoning' | 'reasoning_content'>;
type FunctionCall = NonNullable<ChatCompletionChunk.Choice.Delta.ToolCall['function']>;

/** A choice of a chunk as OpenAI's schema has it, beside reasoning, which that has no place for. */
export interface Choice extends OpenAIChoice {
  delta: Omit<OpenAIChoice['delta'], 'function_call'> &
    Reasoning & { function_call?: FunctionCall };
}

const ROLES = new Set<unknown>(['developer', 'system', 'user', 'assistant', 'tool']);

/** OpenAI's finish reasons. */
const STANDARD_REASONS = new Set<unknown>([
  'stop',
  'length',
  'tool_calls',
  'content_filter',
  'function_call',
]);

/** What other services say for them, in lower case. Whatever else ends an answer is a `stop`. */
const REASONS = new Map<string, FinishReason>([
  ['max_tokens', 'length'],
  ['model_length', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['tool_use', 'tool_calls'],
  ['tool_call', 'tool_calls'],
  ['refusal', 'content_filter'],
  ['safety', 'content_filter'],
  ['recitation', 'content_filter'],
  ['blocklist', 'content_filter'],
  ['prohibited_content', 'content_filter'],
  ['spii', 'content_filter'],
  ['sensitive', 'content_filter'],
  ['content_filtered', 'content_filter'],
  ['guardrail_intervened', 'content_filter'],
]);

/** Whether a choice has all that OpenAI's schema requires of it, and nothing that it forbids. */
export function isStandard(choice: UpstreamChoice): choice is Choice {
  const { index, delta, finish_reason, logprobs } = choice;
  return (
    Number.isInteger(index) &&
    delta != null &&
    !Array.isArray(delta) &&
    isStandardDelta(delta) &&
    (finish_reason === null || STANDARD_REASONS.has(finish_reason)) &&
    (logprobs == null || (logprobs.content !== undefined && logprobs.refusal !== undefined))
  );
}

/**
 * Makes a choice one that every client of OpenAI's can read.
 * @throws {ChatError} `provider_error` when its finish reason is a failure
 */
export function toStandard(choice: UpstreamChoice): Choice {
  const { index, delta, logprobs, finish_reason, ...rest } = choice;
  return {
    index: Number.isInteger(index) ? index! : 0,
    delta: standardDelta(Array.isArray(delta) ? {} : (delta ?? {})),
    ...(logprobs !== undefined && { logprobs: logprobs && standardLogprobs(logprobs) }),
    finish_reason: finish_reason ? standardReason(finish_reason) : null,
    ...rest,
  };
}

function standardLogprobs(logprobs: NonNullable<UpstreamChoice['logprobs']>) {
  return { content: null, refusal: null, ...logprobs };
}

function isStandardDelta(delta: Delta): boolean {
  const { role, content, refusal, tool_calls, function_call } = delta;
  return (
    (role === undefined || ROLES.has(role)) &&
    (content === undefined || isTextOrNull(content)) &&
    (refusal === undefined || isTextOrNull(refusal)) &&
    (delta.reasoning === undefined || isTextOrNull(delta.reasoning)) &&
    (delta.reasoning_content === undefined || isTextOrNull(delta.reasoning_content)) &&
    (tool_calls === undefined || (tool_calls?.every(isStandardCall) ?? false)) &&
    (function_call === undefined || (function_call !== null && isText(function_call.arguments)))
  );
}

function isStandardCall({ index, id, type, function: called }: ToolCallPiece): boolean {
  return (
    Number.isInteger(index) &&
    isText(id) &&
    (type === 'function' || type === 'custom' || (type === undefined && !called?.name)) &&
    (called === undefined || (called !== null && isText(called.name) && isText(called.arguments)))
  );
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}

function isTextOrNull(value: unknown): value is string | null {
  return typeof value === 'string' || value === null;
}

function standardDelta(delta: Delta): Choice['delta'] {
  const { role, content, refusal, reasoning, reasoning_content, ...others } = delta;
  const { tool_calls, function_call, ...rest } = others;
  const thoughts = Array.isArray(content) ? thoughtsOf(content) : '';
  return {
    ...(ROLES.has(role) && { role: role as Choice['delta']['role'] }),
    ...(content !== undefined && { content: textOf(content) }),
    ...(isTextOrNull(refusal) && { refusal }),
    ...(tool_calls && { tool_calls: tool_calls.map(standardCall) }),
    ...(function_call && { function_call: standardFunction(function_call) }),
    ...rest,
    ...(isTextOrNull(reasoning) && { reasoning }),
    ...(isTextOrNull(reasoning_content) && { reasoning_content }),
    ...(thoughts && { reasoning_content: (reasoning_content ?? '') + thoughts }),
  };
}

function standardCall({ index, id, type, function: called, ...rest }: ToolCallPiece, at: number) {
  return {
    index: Number.isInteger(index) ? index! : at,
    ...(typeof id === 'string' && { id }),
    // Streams of OpenAI's have its newer kind too, though its schema does not.
    type: (type === 'custom' ? type : 'function') as 'function',
    ...(called && { function: standardFunction(called) }),
    ...rest,
  };
}

/** Some services write arguments as the object that they mean. */
function standardFunction({ name, arguments: json }: NonNullable<ToolCallPiece['function']>) {
  return {
    ...(typeof name === 'string' && { name }),
    ...(json != null && { arguments: typeof json === 'string' ? json : JSON.stringify(json) }),
  };
}

/** @param content a text or, from Mistral's models that reason, a list of parts */
function textOf(content: Delta['content']): string | null {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return null;
  return content
    .map(({ type, text }) => (type === 'text' && isText(text) ? (text ?? '') : ''))
    .join('');
}

function thoughtsOf(parts: Extract<Delta['content'], unknown[]>): string {
  return parts.map(({ thinking }) => textOf(thinking) ?? '').join('');
}

function standardReason(reason: unknown): FinishReason {
  if (STANDARD_REASONS.has(reason)) return reason as FinishReason;
  expectSuccess(reason);
  const name = typeof reason === 'string' ? reason.toLowerCase() : '';
  return REASONS.get(name) ?? 'stop';
}
