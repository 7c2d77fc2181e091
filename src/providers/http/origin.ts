import { getProxyForUrl } from 'proxy-from-env';
import { connect, isSecure } from './connect.js';
import { Connection } from './connection.js';
import { basicCredentials } from './request-head.js';

/** A server, and the connections to it: as many are kept as there were requests at a time. */
export class Origin {
  /** Who passes on what the server is asked, where there is no tunnel. */
  private readonly forwarder?: URL;
  private readonly proxy?: URL;
  private readonly all = new Set<Connection>();
  private readonly free: Connection[] = [];
  private session?: Buffer;
  /** Whether nothing is to be asked any more. */
  isClosed = false;

  constructor(private readonly url: URL) {
    const proxy = getProxyForUrl(url);
    if (!proxy) return;
    this.proxy = new URL(proxy);
    if (!isSecure(url)) this.forwarder = this.proxy;
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
    const { url, proxy, session } = this;
    // What a server says before it is asked is nobody's.
    let take: (bytes: Buffer) => void = () => undefined;
    const onBytes = (bytes: Buffer) => take(bytes);
    const onSession = (given: Buffer) => (this.session = given);
    // It may be what the server does not like.
    this.session = undefined;
    const socket = await connect(url, { proxy, session, onSession, signal, onBytes });
    this.session ??= session;
    const connection = new Connection(socket, (freed) => this.free.push(freed));
    take = (bytes) => connection.take(bytes);
    if (this.isClosed) connection.destroy();
    this.all.add(connection);
    socket.once('close', () => this.forget(connection));
    return connection;
  }

  /** What a request is for, as whoever gets it is told (RFC 9112 §3.2). */
  targetOf({ origin, pathname, search }: URL): string {
    return (this.forwarder ? origin : '') + pathname + search;
  }

  /** What the one that gets it is told of who asks. */
  authorizationFor(target: URL): Record<string, string> {
    const forServer = basicCredentials(target);
    const forProxy = this.forwarder && basicCredentials(this.forwarder);
    return {
      ...(forServer && { authorization: forServer }),
      ...(forProxy && { 'proxy-authorization': forProxy }),
    };
  }

  close() {
    this.isClosed = true;
    for (const connection of this.all) connection.destroy();
  }

  private forget(connection: Connection) {
    this.all.delete(connection);
    const index = this.free.indexOf(connection);
    if (index !== -1) this.free.splice(index, 1);
  }
}
