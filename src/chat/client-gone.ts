import type { Response } from 'express';

/**
 * Calls back when the client of a response has left. It is seen on the socket: a request closes
 * once its body is read, and a pipelined response has no socket yet that could close.
 *
 * @returns what stops listening
 */
export function onClientGone({ req: { socket } }: Response, callback: () => void): () => void {
  socket.on('close', callback);
  return () => socket.off('close', callback);
}

export function isClientGone({ req: { socket } }: Response): boolean {
  return socket.destroyed;
}
