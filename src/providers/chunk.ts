import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';
import { ChatError } from '../errors/chat-error.js';

type Logprobs = Partial<ChatCompletionChunk.Choice.Logprobs>;

/** A piece of a tool call as services really send it. */
export interface ToolCallPiece {
  index?: number;
  id?: string | null;
  type?: string | null;
  function?: { name?: string | null; arguments?: string | object | null } | null;
}

interface ContentPart {
  type: string;
  text?: string;
  thinking?: string | ContentPart[];
}

/** A delta as services really send it, with reasoning under either of two names. */
export interface Delta {
  role?: string | null;
  /** Mistral's models that reason give a list of parts. */
  content?: string | ContentPart[] | null;
  reasoning_content?: string | null;
  reasoning?: string | null;
  refusal?: string | null;
  tool_calls?: ToolCallPiece[] | null;
  /** What OpenAI had before `tool_calls`. */
  function_call?: ToolCallPiece['function'];
}

export interface UpstreamChoice {
  index?: number;
  /** Azure's async filter frames have none. */
  delta?: Delta | null;
  logprobs?: Logprobs | null;
  finish_reason?: string | null;
}

/**
 * OpenAI's chunk as services really send it: Azure's first frame has no id, no model and no choice,
 * and many servers leave out what they deem unimportant. It has more fields than are named here.
 */
export interface UpstreamChunk {
  id?: string;
  object?: string;
  created?: number;
  model?: string;
  system_fingerprint?: string | null;
  service_tier?: string | null;
  choices?: UpstreamChoice[] | null;
  usage?: Partial<CompletionUsage> | null;
}

/** Whether a delta carries something generated, and not just a role or nothing. */
export function hasContent(delta: Delta | null | undefined): boolean {
  return Boolean(
    delta &&
    (delta.content ||
      delta.reasoning_content ||
      delta.reasoning ||
      delta.refusal ||
      delta.tool_calls?.length ||
      delta.function_call ||
      otherContent(delta)),
  );
}

/** Finish reasons that say that the answer is not whole: Mistral's, OpenRouter's, vLLM's, DeepSeek's. */
const FAILURES = /^(abort|insufficient_system_resource|(.*_)?error(_.*)?)$/i;

/** @throws {ChatError} `provider_error` when a finish reason is a failure */
export function expectSuccess(finishReason: unknown) {
  if (typeof finishReason === 'string' && FAILURES.test(finishReason)) {
    throw new ChatError('provider_error', 'The provider broke its answer off with an error.');
  }
}

const KNOWN_FIELDS = new Set([
  'role',
  'content',
  'reasoning_content',
  'reasoning',
  'refusal',
  'tool_calls',
  'function_call',
]);

/** What a delta carries in fields that are not named here, such as audio, images or annotations. */
export function otherContent(delta: Delta): Record<string, unknown> | undefined {
  const others = Object.entries(delta).filter(
    ([name, value]) => !KNOWN_FIELDS.has(name) && isContent(value),
  );
  return others.length > 0 ? Object.fromEntries(others) : undefined;
}

/** Numbers and booleans are notes on a delta, such as Mistral's `index`. */
function isContent(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}
