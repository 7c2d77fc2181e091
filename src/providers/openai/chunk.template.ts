import type { Frame, Template } from '../chat-provider.js';
import type { UpstreamChunk } from '../chunk.js';

/** A chunk as far as it matters here, with the padding that OpenAI hides the length of tokens behind. */
interface TextChunk extends UpstreamChunk {
  obfuscation?: string;
}

/** What can't stand in a JSON string as it is, or means something else there (RFC 8259 §7). */
// eslint-disable-next-line no-control-regex
const NOT_PLAIN = /[\u0000-\u001f\\]/;

/** A chunk that is like another but for its text. It is parsed for those alone who read more of it. */
class TextFrame implements Frame {
  constructor(
    readonly template: Template,
    readonly text: string,
    readonly padding: string,
    readonly json: string,
  ) {}

  get chunk(): UpstreamChunk {
    return JSON.parse(this.json) as UpstreamChunk;
  }
}

/**
 * What the chunks of an answer have in common: all of their JSON but the text, as a rule. One that
 * reads the same around its text is not parsed again, which costs more than all else that is done
 * with it.
 */
export class ChunkTemplate implements Template {
  private constructor(
    readonly chunk: UpstreamChunk,
    readonly before: string,
    readonly between: string,
    readonly after: string,
  ) {}

  /**
   * @param chunk what the JSON says
   * @returns nothing for a chunk that is not one text in one choice
   */
  static of(json: string, chunk: TextChunk): ChunkTemplate | undefined {
    const [choice, ...others] = chunk.choices ?? [];
    if (others.length > 0 || typeof choice?.delta?.content !== 'string') return undefined;
    // Without an escape every quote is the beginning or the end of a string. A line break would have to
    // be replaced in every chunk that is passed on.
    if (/[\\\n]/.test(json)) return undefined;
    const text = only(json, /"content"\s*:\s*"/g);
    if (text === undefined) return undefined;
    const textEnd = json.indexOf('"', text);
    const before = json.slice(0, text);
    const padding = only(json, /"obfuscation"\s*:\s*"/g);
    if (padding === undefined || padding < textEnd || typeof chunk.obfuscation !== 'string') {
      return new ChunkTemplate(chunk, before, '', json.slice(textEnd));
    }
    const between = json.slice(textEnd, padding);
    const after = json.slice(json.indexOf('"', padding));
    return new ChunkTemplate(chunk, before, between, after);
  }

  /** The frame of a chunk that reads like this template; else nothing. */
  read(json: string): Frame | undefined {
    const { before, between, after } = this;
    if (!has(json, 0, before)) return undefined;
    const textEnd = plainEnd(json, before.length);
    if (textEnd === -1) return undefined;
    let end = textEnd;
    let padding = '';
    if (between !== '') {
      if (!has(json, textEnd, between)) return undefined;
      const start = textEnd + between.length;
      end = plainEnd(json, start);
      if (end === -1) return undefined;
      padding = copied(json.slice(start, end));
    }
    if (json.length !== end + after.length || !has(json, end, after)) return undefined;
    return new TextFrame(this, copied(json.slice(before.length, textEnd)), padding, json);
  }
}

/** Slices are compared as memory; `startsWith` goes from character to character. */
function has(json: string, at: number, part: string): boolean {
  return json.slice(at, at + part.length) === part;
}

/** Where a string without escapes ends that begins at `start`; -1 for any other. */
function plainEnd(json: string, start: number): number {
  const end = json.indexOf('"', start);
  return end === -1 || NOT_PLAIN.test(json.slice(start, end)) ? -1 : end;
}

/** Without what it was cut from, which V8 keeps for as long as a slice of 13 characters or more. */
function copied(plain: string): string {
  return plain.length < 13 ? plain : (JSON.parse(`"${plain}"`) as string);
}

/** Where the only match ends. */
function only(json: string, pattern: RegExp): number | undefined {
  const [match, ...others] = json.matchAll(pattern);
  return match && others.length === 0 ? match.index + match[0].length : undefined;
}
