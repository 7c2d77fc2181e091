import type { ToolCall } from './texts.js';

export type Protocol = 'openai' | 'azure' | 'ollama';

/** What every request is said to have had, so that tests can assert usage. */
export const PROMPT_TOKENS = 9;

export interface Delta {
  content?: string;
  reasoning?: string;
  refusal?: string;
}

export interface ErrorFields {
  message: string;
  type: string | null;
  param: string | null;
  code: string | null;
}

/**
 * One protocol's shapes. Methods return the JSON values to send, none where the protocol has no
 * such thing, so that one scenario serves all.
 */
export interface Wire {
  readonly contentType: string;
  /** The model that answers; a scenario may name another. */
  model: string;
  /** Puts one JSON text on the wire; a scenario may replace it to vary the framing. */
  frame: (json: string) => string;
  /** Where usage is told; a scenario may move it. */
  usageAt: 'never' | 'finish' | 'last-chunk';
  /** What is framed after everything else. */
  readonly doneMark?: string;
  role(choice: number): object[];
  delta(delta: Delta, choice: number): object[];
  tools(calls: readonly ToolCall[]): object[];
  finish(reason: string, completionTokens: number, choice: number, content?: string): object[];
  usage(completionTokens: number): object[];
  /** The answer as one JSON document, as for `stream: false`. */
  whole(content: string, completionTokens: number): object;
  errorBody(status: number, error: ErrorFields): object;
  errorChunk(error: ErrorFields): object;
}
