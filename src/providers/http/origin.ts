import { getProxyForUrl } from 'proxy-from-env';
import type { Subscription } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import { connect, isSecure } from './connect.js';
import { Connection, type ConnectionOwner } from './connection.js';
import { basicCredentials } from './request-head.js';

/** A server, and the connections to it: as many are kept as there were requests at a time. */
export class Origin implements ConnectionOwner {
  private readonly proxy?: URL;
  private readonly all = new Set<Connection>();
  private readonly free: Connection[] = [];
  private session?: Buffer;

  /**
   * @param lifetime at its end all connections are closed
   * @throws {ChatError} `provider_unavailable` when the environment names a proxy that can't be used
   */
  constructor(
    private readonly url: URL,
    private readonly lifetime: Subscription,
  ) {
    this.proxy = proxyFor(url);
    lifetime.add(() => {
      for (const connection of this.all) connection.destroy();
    });
  }

  /** A connection that was kept: the last that was used, which is the likeliest to be open. */
  takeKept(): Connection | undefined {
    for (;;) {
      const connection = this.free.pop();
      if (!connection || connection.isUsable) return connection;
      connection.destroy();
    }
  }

  /** A new connection. @throws as {@link connect} does */
  async connect(signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    const { url, proxy, session } = this;
    // What a server says before it is asked is nobody's.
    let receive: (bytes: Buffer) => void = () => undefined;
    const onBytes = (bytes: Buffer) => receive(bytes);
    const onSession = (given: Buffer) => (this.session = given);
    // It may be what the server does not like.
    this.session = undefined;
    const socket = await connect(url, { proxy, session, onSession, signal, onBytes });
    this.session ??= session;
    const connection = new Connection(socket, this);
    receive = (bytes) => connection.receive(bytes);
    this.all.add(connection);
    if (this.lifetime.closed) connection.destroy();
    return connection;
  }

  keep(connection: Connection) {
    this.free.push(connection);
  }

  forget(connection: Connection) {
    this.all.delete(connection);
    const index = this.free.indexOf(connection);
    if (index !== -1) this.free.splice(index, 1);
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

  /** Who passes on what the server is asked, where there is no tunnel. */
  private get forwarder(): URL | undefined {
    return isSecure(this.url) ? undefined : this.proxy;
  }
}

function proxyFor(url: URL): URL | undefined {
  const named = getProxyForUrl(url);
  if (!named) return undefined;
  if (/^https?:/i.test(named) && URL.canParse(named)) return new URL(named);
  throw new ChatError('provider_unavailable', 'The proxy in the environment is no URL of HTTP.');
}
