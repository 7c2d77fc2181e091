import { ServerResponse } from 'node:http';

/** Up to this size, in bytes, a chunk goes to a socket that holds nothing back as it is. */
const SMALL = 8_192;

type Callback = (error?: Error | null) => void;

type Write = (
  this: ServerResponse,
  text: unknown,
  encoding?: BufferEncoding | Callback,
  callback?: Callback,
) => boolean;

const { write } = ServerResponse.prototype as { write: Write };

/**
 * Writes each chunk of a response as one piece, for a response that has sent its headers, or sends them
 * by its first write. Node writes three, the length, the data and the line end (RFC 9112 §7.1), and
 * holds them back for a tick to join them, which costs a stream of small chunks about as much again.
 * Nothing changes for whoever writes, or reads.
 */
export const writeWholeChunk: Write = function (text, encoding, callback) {
  // Node decides with the headers whether a body has chunks: one of HTTP/1.0 has none.
  const isChunked = this.headersSent && this.chunkedEncoding && !this.writableEnded;
  const isText = typeof text === 'string' && text !== '' && !encoding && !callback;
  if (!isChunked || !isText) return write.call(this, text, encoding, callback);
  const length = Buffer.byteLength(text);
  const chunk = `${length.toString(16)}\r\n${text}\r\n`;
  const charset = length === text.length ? 'latin1' : 'utf8';
  // What is written to such a socket is in the system's hands when the call returns, so Node has
  // nothing to keep account of.
  const { socket } = this;
  if (socket?.writable && isIdle(socket) && length < SMALL) return socket.write(chunk, charset);
  this.chunkedEncoding = false;
  const isTaken = write.call(this, chunk, charset);
  this.chunkedEncoding = true;
  return isTaken;
};

function isIdle({ writableLength, writableCorked }: NonNullable<ServerResponse['socket']>) {
  return writableLength === 0 && writableCorked === 0;
}
