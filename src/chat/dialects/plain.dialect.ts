import type { WrittenDialect } from './dialect.js';

/** Nothing but the text; a body without its end says that the text has none. */
export const plainDialect: WrittenDialect = {
  contentType: 'text/plain; charset=utf-8',
  heartbeat: '',
  onFailure: 'break-off',
  encode: (entry) => (entry.type === 'message' ? entry.data.content : ''),
};
