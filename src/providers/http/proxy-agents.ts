import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import type { AgentOptions, ClientRequest } from 'node:http';
import { ChatError } from '../../errors/chat-error.js';

type Arguments = Parameters<HttpProxyAgent<string>['connect']>;

/** What closes the connections to a proxy that requests are still made for. */
const connecting = new WeakMap<ClientRequest, AbortController>();

/**
 * Until a proxy has let it through, a request has no socket that would close when it is destroyed: this
 * closes the one to the proxy, and fails the request with the reason. From then on nothing may close it
 * so, as the connection is kept for other requests.
 */
export function stopConnecting(request: ClientRequest, reason?: Error) {
  connecting.get(request)?.abort(reason);
}

/** Reaches a server without TLS through a proxy. */
export class ForwardingAgent extends HttpProxyAgent<string> {
  override async connect(request: Arguments[0], options: Arguments[1]) {
    const signal = startConnecting(request);
    // Read before the first await of what it is for.
    this.connectOpts = { ...this.connectOpts, signal };
    return super.connect(request, options).catch(failure(signal));
  }
}

/** Reaches a server with TLS through a proxy. */
export class TunnelAgent extends HttpsProxyAgent<string> {
  constructor(proxy: string, options: AgentOptions) {
    super(proxy, options);
    this.on('proxyConnect', rejectRefusal);
  }

  override async connect(request: Arguments[0], options: Arguments[1]) {
    const signal = startConnecting(request);
    this.connectOpts = { ...this.connectOpts, signal };
    return super.connect(request, options).catch(failure(signal));
  }
}

function startConnecting(request: ClientRequest): AbortSignal {
  if (request.destroyed) throw new Error('The request was destroyed before it was connected.');
  const controller = new AbortController();
  connecting.set(request, controller);
  return controller.signal;
}

function failure(signal: AbortSignal) {
  return (error: unknown): never => {
    throw signal.reason ?? error;
  };
}

/** The agent would give the proxy's answer to a CONNECT for the provider's to the request. */
function rejectRefusal({ statusCode }: { statusCode: number }, request: ClientRequest) {
  if (statusCode === 200) return;
  const message = `The proxy did not connect to the provider: it answered with status ${statusCode}.`;
  request.destroy(new ChatError('provider_unavailable', message));
}
