/** Half of a character beyond U+FFFF, at the end of a text. */
const HIGH_SURROGATE = /[\ud800-\udbff]$/;

/** The half of a character that a text ends with, if it does: UTF-8 has no bytes for it. */
export function halfAtEnd(text: string): string {
  return HIGH_SURROGATE.exec(text)?.[0] ?? '';
}

/** A text in pieces, where a character that its provider cut in two comes whole with its second half. */
export class WholeCharacters {
  private half = '';

  /** @returns nothing of a piece that is but half a character */
  next(piece: string): string {
    const text = this.half + piece;
    this.half = halfAtEnd(text);
    return text.slice(0, text.length - this.half.length);
  }
}
