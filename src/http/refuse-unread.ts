import type { Request, Response } from 'express';
import { hasBody } from './has-body.js';

/** How long a client that is still sending gets to read its answer, in milliseconds. */
const LINGER_MS = 2_000;

/**
 * Has a request answered without its body being read; the connection ends with the answer. But its
 * sending side alone, at first: a socket that is closed with something unread in it is reset, and a
 * reset can take the answer away from the client (RFC 9112 §9.6).
 */
export function refuseUnread(request: Request, response: Response) {
  if (!hasBody(request)) return;
  const { socket } = request;
  response.setHeader('Connection', 'close');
  // What Node calls after the last response of a connection.
  socket.destroySoon = () => {
    socket.end();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  };
}
