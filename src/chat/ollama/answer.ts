import { ChatError } from '../../errors/chat-error.js';
import type { Entry, ToolCallDelta, Usage } from '../../runs/entry.js';
import type { Run, RunState } from '../../runs/run.js';

/** The route decides what an answer is: a message of a conversation, or what follows a prompt. */
export type OllamaRoute = 'chat' | 'generate';

interface ToolCall {
  id?: string;
  function: { index: number; name: string; arguments: object };
}

/** A part of an answer, or all of it. */
export interface Piece {
  content?: string;
  thinking?: string;
  tool_calls?: ToolCall[];
}

const BODIES = {
  chat: ({ content = '', ...rest }: Piece) => ({
    message: { role: 'assistant', content, ...rest },
  }),
  generate: ({ content = '', ...rest }: Piece) => ({ response: content, ...rest }),
} satisfies Record<OllamaRoute, (piece: Piece) => object>;

/** The shortest duration that is told, in milliseconds. */
const SHORTEST_MS = 1;

/** In a millisecond. */
const NANOSECONDS = 1_000_000;

/** One object of Ollama's: a line of a stream, or a whole answer. */
export function toAnswer(
  route: OllamaRoute,
  model: string,
  createdAt: string,
  piece: Piece,
  end?: object,
) {
  return {
    model,
    created_at: createdAt,
    ...BODIES[route](piece),
    done: end !== undefined,
    ...end,
  };
}

/** What only the last object says: why the answer ends, what it took, and in nanoseconds how long. */
export function endOf({ data }: Entry & { type: 'done' }, { state }: Run) {
  return { done_reason: toDoneReason(data.finish_reason), ...metricsOf(state, data.usage) };
}

/** Ollama has no reason of its own for tool calls. */
function toDoneReason(finishReason: string): string {
  return ['tool_calls', 'function_call'].includes(finishReason) ? 'stop' : finishReason;
}

/** The state of a run that another process generates may be older than its end. */
function metricsOf(state: RunState, usage: Usage | null) {
  const created = Date.parse(state.created_at);
  const started = state.started_at ? Date.parse(state.started_at) : created;
  const firstToken = state.first_token_at ? Date.parse(state.first_token_at) : started;
  const ended = state.ended_at ? Date.parse(state.ended_at) : Date.now();
  return {
    total_duration: (ended - created) * NANOSECONDS,
    load_duration: (started - created) * NANOSECONDS,
    ...(usage && { prompt_eval_count: usage.prompt_tokens }),
    prompt_eval_duration: divisor(firstToken - started),
    ...(usage && { eval_count: usage.completion_tokens }),
    eval_duration: divisor(ended - firstToken),
  };
}

/** Clients divide the counts by these durations. */
function divisor(ms: number): number {
  return Math.max(ms, SHORTEST_MS) * NANOSECONDS;
}

/** Puts tool calls together from their pieces: Ollama sends them whole, with objects for arguments. */
export class ToolCalls {
  private readonly calls = new Map<number, ToolCallDelta>();

  add({ index, id, name, arguments: json }: ToolCallDelta) {
    const call = this.calls.get(index) ?? { index, arguments: '' };
    call.id ??= id;
    call.name ??= name;
    call.arguments += json;
    this.calls.set(index, call);
  }

  /**
   * Nothing where there are none.
   * @throws {ChatError} `provider_malformed` when the model wrote arguments that are no object
   */
  get whole(): ToolCall[] | undefined {
    if (this.calls.size === 0) return undefined;
    return [...this.calls.values()].map(({ index, id, name = '', arguments: json }) => ({
      ...(id && { id }),
      function: { index, name, arguments: toObject(json) },
    }));
  }
}

function toObject(json: string): object {
  // What a call of a tool without parameters often has.
  if (json.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  throw new ChatError('provider_malformed', 'The model called a tool with what is no JSON object.');
}
