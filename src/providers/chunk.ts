import type { ChatCompletionChunk } from 'openai/resources/chat/completions';

/**
 * The delta as services really send it: absent in Azure's async filter frames, with reasoning under
 * either of two names.
 */
export type Delta = Partial<ChatCompletionChunk.Choice.Delta> & {
  reasoning_content?: string | null;
  reasoning?: string | null;
};

/** Whether a delta carries something generated, and not just a role or nothing. */
export function hasContent(delta: Delta | null | undefined): boolean {
  return Boolean(
    delta &&
    (delta.content ||
      delta.reasoning_content ||
      delta.reasoning ||
      delta.refusal ||
      delta.tool_calls?.length ||
      delta.function_call),
  );
}
