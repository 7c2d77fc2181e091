import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { finished } from 'node:stream';

/** Sends the head of a request on a connection of which a test says every byte. */
export async function sendHead(port: number, ...lines: string[]) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  let received = '';
  let hasEnded = false;
  socket.on('data', (data) => (received += data.toString()));
  socket.on('end', () => (hasEnded = true));
  socket.on('error', () => undefined);
  socket.write([...lines, '', ''].join('\r\n'));
  return {
    socket,
    received: () => received,
    async until(text: string) {
      const signal = AbortSignal.timeout(5_000);
      while (!received.includes(text)) await once(socket, 'data', { signal });
    },
    /** Resolves when the other side has ended the connection; then this one does. */
    async ended() {
      if (!hasEnded) await once(socket, 'end', { signal: AbortSignal.timeout(5_000) });
      socket.end();
      await closed(socket);
    },
  };
}

export async function closed(socket: Socket): Promise<void> {
  await new Promise((resolve) => finished(socket, resolve));
}
