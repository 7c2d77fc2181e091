import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';

type ToolCall = ChatCompletionChunk.Choice.Delta.ToolCall;

/** A delta as services really send it, with reasoning under either of two names. */
export interface Delta {
  role?: string;
  content?: string | null;
  reasoning_content?: string | null;
  reasoning?: string | null;
  refusal?: string | null;
  tool_calls?: (Omit<ToolCall, 'index'> & { index?: number })[] | null;
}

export interface UpstreamChoice {
  index?: number;
  /** Azure's async filter frames have none. */
  delta?: Delta | null;
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
      delta.tool_calls?.length),
  );
}
