import type { Encoder, WrittenDialect } from './dialect.js';
import { halfAtEnd } from './half-character.js';

/** Nothing but the text; a body without its end says that the text has none. */
export const plainDialect: WrittenDialect = {
  headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  onFailure: 'break-off',
  open: (): Encoder => {
    // A provider may cut a character in two.
    let half = '';
    return {
      encode: (entry) => {
        if (entry.type !== 'message') return '';
        const text = half + entry.data.content;
        half = halfAtEnd(text);
        return text.slice(0, text.length - half.length);
      },
      heartbeat: '',
    };
  },
};
