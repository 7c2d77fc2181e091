import type { Encoder, WrittenDialect } from './dialect.js';

const encoder: Encoder = {
  encode: (entry) => (entry.type === 'message' ? entry.data.content : ''),
  heartbeat: '',
};

/** Nothing but the text; a body without its end says that the text has none. */
export const plainDialect: WrittenDialect = {
  headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  onFailure: 'break-off',
  open: () => encoder,
};
