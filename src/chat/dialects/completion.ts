import type { ChatCompletion, ChatCompletionChunk } from 'openai/resources/chat/completions';
import { countsOf, type Entry } from '../../runs/entry.js';

type Fields = Record<string, unknown>;

/** Strings that a delta gives whole, where others are pieces to be joined. */
const WHOLE = new Set(['id', 'type', 'role', 'name', 'finish_reason']);

/** A choice of a chunk; a message of its own, where a service sends one, is not a piece. */
type Piece = ChatCompletionChunk.Choice & { message?: unknown };

type Chunk = ChatCompletionChunk & { obfuscation?: string };

/** The answer of a finished run as one object, from the chunks that a stream would have sent. */
export function assembleCompletion(entries: readonly Entry[]): ChatCompletion {
  const completion: Fields = {};
  const choices = new Map<number, Fields & { index: number; message: Fields }>();
  for (const entry of entries) {
    for (const json of entry.chunks ?? []) {
      const { choices: pieces, obfuscation, ...fields } = JSON.parse(json) as Chunk;
      Object.assign(completion, fields);
      for (const { index, delta, message, ...rest } of pieces as Piece[]) {
        const choice = choices.get(index) ?? {
          index,
          message: { role: 'assistant', content: null, refusal: null },
          logprobs: null,
        };
        choices.set(index, choice);
        merge(choice.message, delta as Fields);
        merge(choice, rest);
      }
    }
    if (entry.type === 'done' && entry.data.usage) completion.usage = countsOf(entry.data.usage);
  }
  for (const { message } of choices.values()) {
    const { tool_calls: calls } = message as { tool_calls?: Fields[] };
    calls?.forEach((call) => delete call.index);
  }
  return {
    ...completion,
    object: 'chat.completion',
    choices: [...choices.values()].sort((one, other) => one.index - other.index),
  } as unknown as ChatCompletion;
}

/** Adds a delta to what came before it: pieces of text are joined, lists go on or by their index. */
function merge(into: Fields, delta: Fields) {
  for (const [key, value] of Object.entries(delta)) {
    // What is inherited is not of this answer, and would reach every object.
    if (key in into && !Object.hasOwn(into, key)) continue;
    const before = into[key];
    if (value === null || value === undefined) {
      into[key] ??= value;
    } else if (typeof value === 'string' && typeof before === 'string') {
      into[key] = WHOLE.has(key) ? value || before : before + value;
    } else if (Array.isArray(value)) {
      const list: unknown[] = Array.isArray(before) ? before : (into[key] = []);
      for (const item of value as unknown[]) mergeItem(list, item);
    } else if (typeof value === 'object') {
      merge(isFields(before) ? before : (into[key] = {}), value as Fields);
    } else {
      into[key] = value;
    }
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mergeItem(list: unknown[], item: unknown) {
  const { index } = Object(item) as Fields;
  const same =
    index !== undefined && list.find((other) => (Object(other) as Fields).index === index);
  if (same) merge(same as Fields, item as Fields);
  else list.push(typeof item === 'object' ? structuredClone(item) : item);
}
