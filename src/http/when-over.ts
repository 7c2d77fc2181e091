import type { Request, Response } from 'express';

/** Who waits for each response. */
const waiting = new WeakMap<Response, (() => void)[]>();

/** Calls back once when a response was sent, or its client has left. */
export function whenOver({ socket }: Request, response: Response, callback: () => void) {
  const others = waiting.get(response);
  if (others) {
    others.push(callback);
    return;
  }
  const callbacks = [callback];
  waiting.set(response, callbacks);
  // One listener for all: a socket has many responses when requests are pipelined.
  const over = () => {
    socket.off('close', over);
    // The end of the socket is one of the response too.
    for (const each of callbacks.splice(0)) each();
  };
  response.on('close', over);
  // A pipelined response whose turn never came is closed by its socket alone.
  socket.on('close', over);
}
