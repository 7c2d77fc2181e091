import type { Delta, UpstreamChoice, UpstreamChunk } from '../chunk.js';

/** A chunk as far as it matters here, with the padding that OpenAI hides the length of tokens behind. */
interface TextChunk extends UpstreamChunk {
  obfuscation?: string;
}

/** What can't stand in a JSON string as it is, or means something else there (RFC 8259 §7). */
// eslint-disable-next-line no-control-regex
const NOT_PLAIN = /[\u0000-\u001f\\]/;

/**
 * What the chunks of an answer have in common: all of their JSON but the text, as a rule. One that
 * reads the same around its text is not parsed again, which costs more than all else that is done
 * with it.
 */
export class ChunkTemplate {
  private constructor(
    private readonly chunk: TextChunk,
    private readonly choice: UpstreamChoice,
    private readonly delta: Delta,
    /** The JSON up to the text, from there to the padding if there is one, and to the end. */
    private readonly before: string,
    private readonly between: string | undefined,
    private readonly after: string,
  ) {}

  /**
   * @param chunk what the JSON says
   * @returns nothing for a chunk that is not one text in one choice
   */
  static of(json: string, chunk: TextChunk): ChunkTemplate | undefined {
    const [choice, ...others] = chunk.choices ?? [];
    const delta = choice?.delta;
    if (!delta || others.length > 0 || typeof delta.content !== 'string') return undefined;
    // Without an escape every quote is the beginning or the end of a string.
    if (json.includes('\\')) return undefined;
    const text = only(json, /"content"\s*:\s*"/g);
    if (text === undefined) return undefined;
    const textEnd = json.indexOf('"', text);
    const before = json.slice(0, text);
    const padding = only(json, /"obfuscation"\s*:\s*"/g);
    if (padding === undefined || padding < textEnd || typeof chunk.obfuscation !== 'string') {
      return new ChunkTemplate(chunk, choice, delta, before, undefined, json.slice(textEnd));
    }
    const between = json.slice(textEnd, padding);
    const after = json.slice(json.indexOf('"', padding));
    return new ChunkTemplate(chunk, choice, delta, before, between, after);
  }

  /** What the JSON says, if it reads like this template; else nothing. */
  read(json: string): TextChunk | undefined {
    const { before, between, after } = this;
    if (!json.startsWith(before)) return undefined;
    const textEnd = json.indexOf('"', before.length);
    const content = json.slice(before.length, textEnd);
    if (textEnd === -1 || NOT_PLAIN.test(content)) return undefined;
    if (between === undefined) {
      return ends(json, textEnd, after) ? this.with(content) : undefined;
    }
    if (!json.startsWith(between, textEnd)) return undefined;
    const padding = textEnd + between.length;
    const paddingEnd = json.indexOf('"', padding);
    const obfuscation = json.slice(padding, paddingEnd);
    if (paddingEnd === -1 || NOT_PLAIN.test(obfuscation)) return undefined;
    return ends(json, paddingEnd, after) ? { ...this.with(content), obfuscation } : undefined;
  }

  private with(content: string): TextChunk {
    const { chunk, choice, delta } = this;
    return { ...chunk, choices: [{ ...choice, delta: { ...delta, content } }] };
  }
}

function ends(json: string, at: number, end: string): boolean {
  return json.length === at + end.length && json.endsWith(end);
}

/** Where the only match ends. */
function only(json: string, pattern: RegExp): number | undefined {
  const [match, ...others] = json.matchAll(pattern);
  return match && others.length === 0 ? match.index + match[0].length : undefined;
}
