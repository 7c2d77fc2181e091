import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * A network that the test can break, between a client and a server.
 * @param targetPorts connections go to them in turn
 */
export async function startProxy(...targetPorts: number[]): Promise<Proxy> {
  const proxy = new Proxy(targetPorts);
  await proxy.listen();
  return proxy;
}

export class Proxy {
  /** How many connections there have been. */
  connections = 0;

  #isSilent = false;
  readonly #clients = new Set<Socket>();
  readonly #limits: (number | string)[] = [];
  readonly #server = createServer((client) => this.#join(client));

  constructor(private readonly targetPorts: number[]) {}

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async listen(): Promise<void> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
  }

  /** Lets no answer pass any more, until the connections are cut. */
  silence(): void {
    this.#isSilent = true;
  }

  /** Resets every connection, to both sides. */
  cut(): void {
    this.#isSilent = false;
    for (const client of this.#clients) {
      // Node keeps the handle of a socket that is reset while it ends.
      if (client.writableEnded) client.destroy();
      else client.resetAndDestroy();
    }
  }

  /**
   * Each of the next connections is cut after so many bytes of answers, head included, or right
   * behind these characters. Those after them are not.
   */
  cutNextAfter(...limits: (number | string)[]): void {
    this.#limits.push(...limits);
  }

  async close(): Promise<void> {
    this.cut();
    await once(this.#server.close(), 'close');
  }

  #join(client: Socket): void {
    const port = this.targetPorts[this.connections % this.targetPorts.length]!;
    const server = connect(port, '127.0.0.1');
    this.connections += 1;
    this.#clients.add(client);
    const limit = this.#limits.shift() ?? Infinity;
    let answered = Buffer.alloc(0);
    client.pipe(server);
    server.on('data', (data: Buffer) => {
      if (this.#isSilent) return;
      const before = answered.length;
      if (limit !== Infinity) answered = Buffer.concat([answered, data]);
      const end = endOf(answered, limit);
      client.write(data.subarray(0, end - before));
      // A FIN behind the bytes: an RST would take those with it that the client has not read yet.
      if (answered.length >= end) client.destroySoon();
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

/** Up to which byte an answer may pass. */
function endOf(answered: Buffer, limit: number | string): number {
  if (typeof limit === 'number') return limit;
  const at = answered.indexOf(limit);
  return at === -1 ? Infinity : at + Buffer.byteLength(limit);
}
