import type { Encoder, WrittenDialect } from './dialect.js';
import { WholeCharacters } from './half-character.js';

/** Nothing but the text; a body without its end says that the text has none. */
export const plainDialect: WrittenDialect = {
  headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  onFailure: 'break-off',
  open: (): Encoder => {
    const text = new WholeCharacters();
    return {
      encode: (entry) => (entry.type === 'message' ? text.next(entry.data.content) : ''),
      heartbeat: '',
    };
  },
};
