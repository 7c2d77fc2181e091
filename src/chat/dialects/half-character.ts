/** Half of a character beyond U+FFFF, at the end of a text. */
const HIGH_SURROGATE = /[\ud800-\udbff]$/;

/** The half of a character that a text ends with, if it does: UTF-8 has no bytes for it. */
export function halfAtEnd(text: string): string {
  return HIGH_SURROGATE.exec(text)?.[0] ?? '';
}
