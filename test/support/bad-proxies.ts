import { once } from 'node:events';
import { createServer as createHttpServer, request, type Server as HttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { createGzip } from 'node:zlib';

export interface BadProxy {
  url: string;
  close(): Promise<void>;
}

/** Never tells the server that a client has left, and reads on for nobody. */
export function startDeafProxy(targetPort: number): Promise<BadProxy> {
  return listen(
    createServer((client) => {
      const server = connect(targetPort, '127.0.0.1');
      for (const socket of [client, server]) socket.on('error', () => undefined);
      client.on('data', (data) => server.write(data));
      server.on('data', (data) => {
        if (client.writable) client.write(data);
      });
      server.once('close', () => client.destroySoon());
    }),
  );
}

/** Ends every connection after so long. */
export function startHastyProxy(targetPort: number, ms: number): Promise<BadProxy> {
  return listen(
    createServer((client) => {
      join(client, connect(targetPort, '127.0.0.1'));
      setTimeout(() => client.destroy(), ms).unref();
    }),
  );
}

/** Passes nothing on any more once it was silent for so long, and ends nothing. */
export function startForgetfulProxy(targetPort: number, ms: number): Promise<BadProxy> {
  return listen(
    createServer((client) => {
      const server = connect(targetPort, '127.0.0.1');
      join(client, server);
      server.setTimeout(ms, () => server.unpipe(client).resume());
    }),
  );
}

/** Compresses for who can read it, and waits until it has all. */
export function startZippingProxy(targetPort: number): Promise<BadProxy> {
  return listen(
    createHttpServer((incoming, outgoing) => {
      const { method, url: path, headers } = incoming;
      const target = { port: targetPort, host: '127.0.0.1', agent: false };
      const asked = request({ ...target, method, path, headers });
      asked.on('error', () => outgoing.destroy());
      asked.once('response', (answer) => {
        const zips =
          headers['accept-encoding']?.includes('gzip') &&
          answer.headers['content-type'] === 'text/event-stream';
        const extra = zips ? { 'content-encoding': 'gzip' } : {};
        outgoing.writeHead(answer.statusCode!, { ...answer.headers, ...extra });
        if (zips) answer.pipe(createGzip()).pipe(outgoing);
        else answer.pipe(outgoing);
        answer.on('error', () => outgoing.destroy());
      });
      outgoing.once('close', () => asked.destroy());
      incoming.pipe(asked);
    }),
  );
}

/** Speaks TLS with its clients, and offers them these protocols. */
export function startTlsProxy(
  targetPort: number,
  certificate: { cert: string; key: string },
  ALPNProtocols: string[],
): Promise<BadProxy> {
  const options = { ...certificate, ALPNProtocols };
  return listen(
    createTlsServer(options, (client) => join(client, connect(targetPort, '127.0.0.1'))),
    'https',
  );
}

function join(client: Socket, server: Socket) {
  for (const socket of [client, server]) socket.on('error', () => undefined);
  client.pipe(server);
  server.pipe(client);
  client.once('close', () => server.destroy());
  server.once('close', () => client.destroySoon());
}

async function listen(server: Server | HttpServer, scheme = 'http'): Promise<BadProxy> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
}
