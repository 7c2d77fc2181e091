/** The tokens of `text`: several scripts, an emoji of several code points, a combining accent. */
export const TEXT_TOKENS: readonly string[] = [
  'Hello',
  ', ',
  'Grüße',
  ', ',
  'こん',
  'にちは',
  ', ',
  'مرحبا',
  ', ',
  'e\u0301te\u0301',
  ' — ',
  '👩‍👩‍👧‍👦',
  '🎉',
  '.\n',
  '\n',
  'The end.',
];

/** What `text` says when it is not given a number of tokens. */
export const TEXT = TEXT_TOKENS.join('');

/** The tokens of `text_tokens-<count>`: those of `text`, over and over. */
export function textTokens(count = TEXT_TOKENS.length): string[] {
  return Array.from({ length: count }, (_, i) => TEXT_TOKENS[i % TEXT_TOKENS.length]!);
}

/** What `text_tokens-<count>` says. */
export function textOf(count: number): string {
  return textTokens(count).join('');
}

/**
 * The tokens of `nasty`: what breaks line splitting, SSE framing and naive UTF-16 handling. The
 * emoji is cut in two, as servers that stream by UTF-16 unit do; one surrogate stays alone.
 */
export const NASTY_TOKENS: readonly string[] = [
  'CR\r',
  'LF\n',
  'CRLF\r\n',
  '\r',
  '\n',
  'LS\u2028PS\u2029NEL\u0085',
  'NUL\0',
  'BOM\ufeff',
  'alone \ud83d ',
  'pair \ud83d',
  '\ude00 ',
  'data: [DONE]\n\n',
  'data: {"error":{"message":"not an error"}}\r\n\r\n',
  '\n: comment\nevent: done\nid: 7\n\n',
  '</script> "quoted" \\u0041 \\',
];

export const NASTY = NASTY_TOKENS.join('');

export const REASONING_TOKENS: readonly string[] = ['The user ', 'greets me; ', 'I greet back. 🤔'];

export const REASONING = REASONING_TOKENS.join('');

export const REFUSAL_TOKENS: readonly string[] = ["I'm sorry, ", "I can't ", 'help with that.'];

export const REFUSAL = REFUSAL_TOKENS.join('');

export interface ToolCall {
  id: string;
  name: string;
  /** JSON text. */
  arguments: string;
}

export const TOOL_CALLS: readonly ToolCall[] = [
  { id: 'call_weather', name: 'get_weather', arguments: '{"city":"Zürich","days":3}' },
  { id: 'call_time', name: 'get_time', arguments: '{"zone":"Asia/Tokyo"}' },
];

/** What `big` says: about `bytes` bytes of UTF-8. */
export function bigText(bytes = 4 * 1024 * 1024): string {
  const piece = 'Sluice 💧 ';
  return piece.repeat(Math.ceil(bytes / Buffer.byteLength(piece)));
}
