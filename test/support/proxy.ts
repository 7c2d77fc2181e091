import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A network between a client and a server that the test can break. */
export async function startProxy(targetPort: number): Promise<Proxy> {
  const proxy = new Proxy(targetPort);
  await proxy.listen();
  return proxy;
}

export class Proxy {
  /** How many connections there have been. */
  connections = 0;

  readonly #clients = new Set<Socket>();
  readonly #limits: number[] = [];
  readonly #server;

  constructor(targetPort: number) {
    this.#server = createServer((client) => this.#join(client, connect(targetPort, '127.0.0.1')));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async listen(): Promise<void> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
  }

  /** Resets every connection, to both sides. */
  cut(): void {
    for (const client of this.#clients) client.resetAndDestroy();
  }

  /** The next connections are cut after so many bytes of an answer each; those after them are not. */
  cutNextAfter(...bytes: number[]): void {
    this.#limits.push(...bytes);
  }

  async close(): Promise<void> {
    this.cut();
    await once(this.#server.close(), 'close');
  }

  #join(client: Socket, server: Socket): void {
    this.connections += 1;
    this.#clients.add(client);
    let left = this.#limits.shift() ?? Infinity;
    client.pipe(server);
    server.on('data', (data: Buffer) => {
      client.write(data.subarray(0, left));
      left -= data.length;
      // A FIN behind the bytes: an RST would take those with it that the client has not read yet.
      if (left <= 0) client.destroySoon();
    });
    server.once('end', () => client.end());
    for (const socket of [client, server]) socket.on('error', () => undefined);
    client.once('close', () => {
      this.#clients.delete(client);
      server.destroy();
    });
    server.once('close', () => client.destroySoon());
  }
}
