/**
 * A word with the space before it, cut at 12 characters; one or two characters of a script without
 * spaces; or the space at the end. Nothing of a text is left out.
 */
const TOKEN =
  /\s*(?:[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]{1,2}|[^\s\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]{1,12})|\s+/gu;

/** Pieces of about a token's size; joined they are the text. */
export function* tokensOf(text: string): Generator<string, void> {
  for (const [token] of text.matchAll(TOKEN)) yield token;
}
