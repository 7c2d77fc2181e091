import type { Encoder, WrittenDialect } from './dialect.js';

/** Half of a character beyond U+FFFF, at the end of a text. */
const HIGH_SURROGATE = /[\ud800-\udbff]$/;

/** Nothing but the text; a body without its end says that the text has none. */
export const plainDialect: WrittenDialect = {
  headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  onFailure: 'break-off',
  open: (): Encoder => {
    // A provider may cut a character in two, and UTF-8 has no bytes for a half.
    let half = '';
    return {
      encode: (entry) => {
        if (entry.type !== 'message') return '';
        const text = half + entry.data.content;
        half = HIGH_SURROGATE.exec(text)?.[0] ?? '';
        return text.slice(0, text.length - half.length);
      },
      heartbeat: '',
    };
  },
};
