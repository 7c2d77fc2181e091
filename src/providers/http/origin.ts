import { getProxyForUrl } from 'proxy-from-env';
import { authorizationFor, connect, isSecure } from './connect.js';
import { Connection } from './connection.js';

/** A server, and the connections to it: as many are kept as there were requests at a time. */
export class Origin {
  private readonly proxy?: URL;
  private readonly all = new Set<Connection>();
  private readonly free: Connection[] = [];

  constructor(private readonly url: URL) {
    const proxy = getProxyForUrl(url);
    if (proxy) this.proxy = new URL(proxy);
  }

  /** A connection that was kept: the last that was used, which is the likeliest to be open. */
  take(): Connection | undefined {
    for (;;) {
      const connection = this.free.pop();
      if (!connection || connection.isUsable) return connection;
      connection.destroy();
    }
  }

  /** A new connection. @throws as {@link connect} does */
  async connect(signal: AbortSignal): Promise<Connection> {
    // What a server says before it is asked is nobody's.
    let take: (bytes: Buffer) => void = () => undefined;
    const onBytes = (bytes: Buffer) => take(bytes);
    const socket = await connect(this.url, { proxy: this.proxy, signal, onBytes });
    const connection = new Connection(socket, (freed) => this.free.push(freed));
    take = (bytes) => connection.take(bytes);
    this.all.add(connection);
    socket.once('close', () => this.forget(connection));
    return connection;
  }

  /** How a request's target and its headers for whoever passes it on are written (RFC 9112 §3.2). */
  address(target: URL): { target: string; headers: Record<string, string> } {
    const { proxy } = this;
    const path = target.pathname + target.search;
    if (!proxy || isSecure(target)) return { target: path, headers: {} };
    return { target: target.origin + path, headers: authorizationFor(proxy) };
  }

  close() {
    for (const connection of this.all) connection.destroy();
  }

  private forget(connection: Connection) {
    this.all.delete(connection);
    const index = this.free.indexOf(connection);
    if (index !== -1) this.free.splice(index, 1);
  }
}
