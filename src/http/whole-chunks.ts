import type { ServerResponse } from 'node:http';

type Write = (chunk: string | Buffer, encoding?: BufferEncoding) => boolean;

/** Up to this size, in characters, a chunk goes to a socket that holds nothing back as it is. */
const SMALL = 8_192;

/**
 * Makes a response write each of its chunks as one piece. Node writes three, the length, the data
 * and the line end (RFC 9112 §7.1), and holds them back for a tick to join them, which costs a
 * stream of small chunks about as much again. Nothing changes for whoever writes, or reads.
 */
export function writeWholeChunks(response: ServerResponse) {
  const write = response.write.bind(response) as Write;

  response.write = ((text: string | Buffer, encoding?: BufferEncoding) => {
    // Node decides with the headers whether a body has chunks: one of HTTP/1.0 has none.
    const isChunked = response.headersSent && response.chunkedEncoding;
    if (!isChunked || typeof text !== 'string' || text === '') return write(text, encoding);
    const length = Buffer.byteLength(text);
    const chunk = `${length.toString(16)}\r\n${text}\r\n`;
    const charset = length === text.length ? 'latin1' : 'utf8';
    // What is written to such a socket is in the system's hands when the call returns, so Node has
    // nothing to keep account of.
    const { socket } = response;
    if (socket?.writable && isIdle(socket) && length < SMALL) return socket.write(chunk, charset);
    response.chunkedEncoding = false;
    const isTaken = write(chunk, charset);
    response.chunkedEncoding = true;
    return isTaken;
  }) as typeof response.write;
}

function isIdle({ writableLength, writableCorked }: NonNullable<ServerResponse['socket']>) {
  return writableLength === 0 && writableCorked === 0;
}
