import type { ChatCompletion, ChatCompletionChunk } from 'openai/resources/chat/completions';
import { countsOf, type Entry } from '../../runs/entry.js';

type Fields = Record<string, unknown>;

/** Strings that a delta gives whole, where others are pieces to be joined. */
const WHOLE = new Set(['id', 'type', 'role', 'name', 'format']);

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
        merge(choice.message, delta as Fields, true);
        // What is beside the delta, such as Azure's filter results, is said anew each time.
        merge(choice, rest, false);
      }
    }
    if (entry.type === 'done') {
      const { choices: none, obfuscation, ...fields } = entry.usageChunk as Chunk;
      Object.assign(completion, fields);
      if (entry.data.usage) completion.usage = countsOf(entry.data.usage);
    }
  }
  for (const { message } of choices.values()) {
    const { tool_calls: calls = [] } = message as { tool_calls?: Fields[] };
    for (const piece of [message, ...calls]) delete piece.index;
  }
  return {
    ...completion,
    object: 'chat.completion',
    choices: [...choices.values()].sort((one, other) => one.index - other.index),
  } as unknown as ChatCompletion;
}

/**
 * Adds fields to those that came before them: lists go on, or by the index of their items.
 * @param joins whether strings are pieces, to be joined; else the newest is the one
 */
function merge(into: Fields, fields: Fields, joins: boolean) {
  for (const [key, value] of Object.entries(fields)) {
    // What is inherited is not of this answer, and would reach every object.
    if (key in into && !Object.hasOwn(into, key)) continue;
    const before = into[key];
    if (value === null || value === undefined) {
      into[key] ??= value;
    } else if (typeof value === 'string' && typeof before === 'string') {
      into[key] = joins && !WHOLE.has(key) ? before + value : value || before;
    } else if (Array.isArray(value)) {
      const list: unknown[] = Array.isArray(before) ? before : (into[key] = []);
      for (const item of value as unknown[]) mergeItem(list, item, joins);
    } else if (typeof value === 'object') {
      merge(isFields(before) ? before : (into[key] = {}), value as Fields, joins);
    } else {
      into[key] = value;
    }
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mergeItem(list: unknown[], item: unknown, joins: boolean) {
  const { index } = Object(item) as Fields;
  const same =
    index !== undefined && list.find((other) => (Object(other) as Fields).index === index);
  if (same) merge(same as Fields, item as Fields, joins);
  else list.push(typeof item === 'object' ? structuredClone(item) : item);
}
