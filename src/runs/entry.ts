import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';
import type { ChatError, ErrorCode } from '../errors/chat-error.js';
import type { Surroundings } from '../providers/chat-provider.js';

/** The tokens of a run, as its provider counted them or, where it did not, as Sluice did. */
export type Usage = CompletionUsage & { source: 'provider' | 'estimated' };

/** An event of the native dialect: its name and its data. */
export type RunEvent =
  | { type: 'start'; data: { id: string; model: string; created: number } }
  | { type: 'message' | 'reasoning' | 'refusal'; data: { content: string } }
  | { type: 'tool_call'; data: ToolCallDelta }
  /** What else was generated, such as audio: the fields of OpenAI's delta that have no event here. */
  | { type: 'delta'; data: Record<string, unknown> }
  | Terminal;

/** The last event of a run; there is exactly one. */
export type Terminal =
  | { type: 'done'; data: { finish_reason: string; model: string; usage: Usage | null } }
  | { type: 'cancelled'; data: { usage: Usage | null } }
  | { type: 'error'; data: Failure; error: ChatError };

/** A piece of a tool call: `id` and `name` come once, `arguments` is a piece of JSON. */
export interface ToolCallDelta {
  index: number;
  id?: string;
  name?: string;
  arguments: string;
}

export interface Failure {
  code: ErrorCode;
  message: string;
  retryable: boolean;
  usage: Usage | null;
}

/** What an event becomes in the log: the event and the chunks that travel with it. */
export type Draft = RunEvent & {
  /** The JSON of chunks for OpenAI's clients: upstream's own, where nothing in it had to change. */
  chunks?: readonly string[];
  /** On `done`: the chunk that gets the usage, for clients that asked for it. */
  usageChunk?: ChatCompletionChunk;
};

/** An entry of a run's log. */
export type Entry = Draft & {
  /** The entry's number, from 1 without gaps. */
  seq: number;
};

/**
 * A piece of text and its chunk, which most entries are. What other entries keep is made here when it
 * is asked for: a run keeps a third as much, which is what the garbage collector's time goes by.
 */
export class TextEntry {
  seq = 0;

  constructor(
    readonly text: string,
    readonly padding: string,
    readonly around: Surroundings,
  ) {}

  get type() {
    return 'message' as const;
  }

  get data() {
    return { content: this.text };
  }

  get chunks(): readonly string[] {
    const { before, between, after } = this.around;
    return [before + this.text + between + this.padding + after];
  }
}

export function isTerminal<E extends RunEvent>(event: E): event is E & Terminal {
  return event.type === 'done' || event.type === 'cancelled' || event.type === 'error';
}

export function failed(error: ChatError): Terminal {
  const { code, message, retryable } = error;
  return { type: 'error', data: { code, message, retryable, usage: null }, error };
}

/** A usage as OpenAI's clients know it. */
export function countsOf({ source, ...counts }: Usage): CompletionUsage {
  return counts;
}

/** What was generated with this event: text, or a piece of a tool call's arguments. */
export function contentOf({ type, data }: RunEvent): string {
  switch (type) {
    case 'message':
    case 'reasoning':
    case 'refusal':
      return data.content;
    case 'tool_call':
      return data.arguments;
    default:
      return '';
  }
}
