import type { Subscriber } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { Frame } from '../chat-provider.js';
import type { Delta, UpstreamChunk } from '../chunk.js';
import type { LineParser } from '../http/stream-lines.js';
import { reported } from '../http/upstream-error.js';
import { expectShallow } from '../nesting.js';
import { ChunkTemplate } from './chunk.template.js';

/** After so many chunks in a row that were unlike the one before, no template is made of them. */
const MAX_MISSES = 5;

const ERROR_EVENT = /^event: ?error$/;

type Parsed = UpstreamChunk & { error?: unknown };

/**
 * Reads the server-sent events of a chat completion: each event's data is a chunk's JSON or, last,
 * `[DONE]`. An event by the name of `error` is one; other names, fields and comments say nothing here.
 *
 * @param maxLength of an event's data, in characters
 * @param key the service's, which an error may repeat
 */
export function chunkParser(
  subscriber: Subscriber<Frame>,
  maxLength: number,
  key?: string | null,
): LineParser {
  let data: string | undefined;
  let isError = false;
  let template: ChunkTemplate | undefined;
  let misses = 0;

  const read = (json: string): Frame => {
    const known = template?.read(json);
    misses = known ? 0 : misses + 1;
    if (known) return known;
    const chunk = parseChunk(json, key);
    if (misses <= MAX_MISSES) template = ChunkTemplate.of(json, chunk) ?? template;
    // It is passed on as one line; outside of JSON's strings a line break is but white space.
    return { chunk, json: json.replaceAll('\n', ' ') };
  };
  return (line) => {
    if (line.startsWith('data:')) {
      const value = line.slice(line.startsWith(' ', 5) ? 6 : 5);
      data = data === undefined ? value : `${data}\n${value}`;
      if (data.length > maxLength) {
        const message = `The provider sent an event of over ${maxLength} characters.`;
        throw new ChatError('provider_malformed', message);
      }
    } else if (line === '') {
      const json = data;
      data = undefined;
      if (json?.trim() === '[DONE]') return true;
      if (json && isError) throw reported(json, key);
      isError = false;
      if (json) subscriber.next(read(json));
    } else if (line.startsWith('event:')) {
      isError = ERROR_EVENT.test(line);
    }
    return false;
  };
}

function parseChunk(json: string, key?: string | null): UpstreamChunk {
  const chunk = parseObject(json);
  expectShallow(chunk, json);
  // It may be the whole of it, as in refusals.
  const isFlatError = chunk.object === 'error' && chunk.choices == null;
  if (chunk.error || isFlatError) throw reported(json, key);
  if (hasShape(chunk)) return chunk;
  throw new ChatError('provider_malformed', 'The provider sent a chunk of another shape.');
}

/** Whether what the run reads of a chunk is what it takes it for; the rest is the client's. */
function hasShape({ choices }: UpstreamChunk): boolean {
  return isListOf(choices, ({ delta }) => {
    if (delta == null || isEmptyList(delta)) return true;
    return (
      isObject(delta) &&
      areParts(delta.content) &&
      isListOf(delta.tool_calls, (call) => isObject(call.function ?? {}))
    );
  });
}

/** Whether content that is a list has parts only, each of which may think in parts. */
function areParts(content: Delta['content']): boolean {
  return !Array.isArray(content) || isListOf(content, ({ thinking }) => areParts(thinking));
}

function isListOf<T extends object>(list: T[] | null | undefined, suits: (item: T) => boolean) {
  return (
    list == null || (Array.isArray(list) && list.every((item) => isObject(item) && suits(item)))
  );
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What PHP writes for an object without fields. */
function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function parseObject(json: string): Parsed {
  try {
    const value = JSON.parse(json) as Parsed | null;
    if (isObject(value)) return value;
  } catch {
    // Told below, without the text: it is a piece of somebody's answer.
  }
  throw new ChatError('provider_malformed', 'The provider sent a chunk that is not a JSON object.');
}
