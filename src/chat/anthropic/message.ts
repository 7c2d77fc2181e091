import type { Usage } from '../../runs/entry.js';
import { tokensOf } from '../../runs/run-record.js';

export type ContentBlock =
  | { type: 'text'; text: string }
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'tool_use'; id: string; name: string; input: unknown };

export type BlockDelta =
  | { type: 'text_delta'; text: string }
  | { type: 'thinking_delta'; thinking: string }
  | { type: 'input_json_delta'; partial_json: string };

export type StopReason = 'end_turn' | 'max_tokens' | 'tool_use' | 'refusal';

/** Tokens as Anthropic counts them: those that a cache had are not among the `input_tokens`. */
export interface MessageUsage {
  input_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  output_tokens: number;
}

/** An answer as `POST /v1/messages` gives it. */
export interface Message {
  id: string;
  type: 'message';
  role: 'assistant';
  model: string;
  content: ContentBlock[];
  stop_reason: StopReason | null;
  stop_sequence: null;
  usage: MessageUsage;
}

export interface ErrorEvent {
  type: 'error';
  error: { type: string; message: string };
}

/** https://docs.anthropic.com/en/docs/build-with-claude/streaming#event-types */
export type StreamEvent =
  | { type: 'message_start'; message: Message }
  | { type: 'content_block_start'; index: number; content_block: ContentBlock }
  | { type: 'content_block_delta'; index: number; delta: BlockDelta }
  | { type: 'content_block_stop'; index: number }
  | {
      type: 'message_delta';
      delta: { stop_reason: StopReason; stop_sequence: null };
      usage: MessageUsage;
    }
  | { type: 'message_stop' }
  | ErrorEvent;

/** @param usage none where nothing is known yet */
export function messageUsage(usage: Usage | null): MessageUsage {
  const { prompt_tokens, cached_tokens, completion_tokens } = tokensOf(usage);
  return {
    input_tokens: Math.max(0, prompt_tokens - cached_tokens),
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached_tokens,
    output_tokens: completion_tokens,
  };
}
