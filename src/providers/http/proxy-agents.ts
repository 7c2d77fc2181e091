import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';

/**
 * A request's option beside Node's own. Until a proxy has let it through, a request has no socket that
 * would close when it is destroyed: aborting closes the one to the proxy, and fails the request with
 * the reason. From then on nothing may abort it, as the connection is kept for other requests.
 */
export interface Connecting {
  connecting: AbortSignal;
}

type Arguments = Parameters<HttpProxyAgent<string>['connect']>;
type ConnectOptions = Arguments[1] & Connecting;

/** Reaches a server without TLS through a proxy. */
export class ForwardingAgent extends HttpProxyAgent<string> {
  override async connect(request: Arguments[0], options: ConnectOptions) {
    // Read before the first await of what it is for.
    this.connectOpts = connectOptions(this.connectOpts, options);
    return super.connect(request, options).catch(failure(options));
  }
}

/** Reaches a server with TLS through a proxy. */
export class TunnelAgent extends HttpsProxyAgent<string> {
  override async connect(request: Arguments[0], options: ConnectOptions) {
    this.connectOpts = connectOptions(this.connectOpts, options);
    return super.connect(request, options).catch(failure(options));
  }
}

function connectOptions<T extends object>(shared: T, { connecting }: Connecting) {
  // A socket that is made with a signal that was aborted before connects all the same.
  connecting.throwIfAborted();
  return { ...shared, signal: connecting };
}

function failure({ connecting }: Connecting) {
  return (error: unknown): never => {
    throw connecting.reason ?? error;
  };
}
