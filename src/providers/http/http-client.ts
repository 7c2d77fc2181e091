import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { TLSSocket } from 'node:tls';
import { getProxyForUrl } from 'proxy-from-env';
import { ChatError } from '../../errors/chat-error.js';
import type { UpstreamCall, UpstreamObserver } from '../upstream-observer.js';
import { ForwardingAgent, TunnelAgent, type Connecting } from './proxy-agents.js';
import { refused } from './upstream-error.js';

/** As many connections are kept as there were requests at a time: those are bounded elsewhere. */
const POOL = { keepAlive: true, noDelay: true, maxFreeSockets: Infinity };

/** One request, on a connection of its own. */
const ONCE = { keepAlive: false, noDelay: true };

export interface UpstreamRequest {
  method: string;
  headers: Record<string, string>;
  body?: string;
  /** Aborting closes the socket, in every phase: connecting, waiting, reading the body. */
  signal: AbortSignal;
  /** How long connecting may take, in milliseconds. */
  connectMs: number;
  observer?: UpstreamObserver;
}

/**
 * HTTP to the providers, over keep-alive connections and through the proxy that `HTTPS_PROXY`,
 * `HTTP_PROXY` and `NO_PROXY` name. It follows no redirect, decodes nothing and has one deadline, for
 * connecting: the others are routing's.
 */
@Injectable()
export class HttpClient implements OnApplicationShutdown {
  /** By protocol and proxy. */
  private readonly agents = new Map<string, http.Agent>();

  /**
   * Resolves with the response once its headers are there.
   *
   * A connection that was kept can be closed by its other side just when it is used again (RFC 9112
   * §9.5). That says nothing of the provider: the request goes out once more, at once and on a new
   * connection. Not on the next that was kept: a provider that resets what it has read would get it
   * as often as there are connections.
   *
   * @throws {ChatError} `provider_unavailable` or `timeout_connect`
   */
  request(url: string, upstream: UpstreamRequest): Promise<IncomingMessage> {
    return this.send(url, upstream, this.agentFor(new URL(url)));
  }

  private send(
    url: string,
    upstream: UpstreamRequest,
    agent: http.Agent,
  ): Promise<IncomingMessage> {
    const { method, headers, body, signal, connectMs, observer } = upstream;
    return new Promise((resolve, reject) => {
      const target = new URL(url);
      const secure = target.protocol === 'https:';
      const call = observer?.sending(method, target);
      const connecting = new AbortController();
      const options: https.RequestOptions & Connecting = {
        method,
        headers: {
          'accept-encoding': 'identity',
          ...headers,
          ...call?.headers,
          ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
        },
        agent,
        connecting: connecting.signal,
      };
      const request = (secure ? https : http).request(url, options);
      const end = (error?: ChatError) => {
        request.destroy(error);
        if (!request.socket) connecting.abort(error);
      };
      // Not by the option `signal`: it destroys the request with an error, which Node emits on a
      // socket without a listener when the body is complete but not yet read.
      const abort = () => {
        call?.dropped();
        end();
      };
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort);
      request.once('close', () => signal.removeEventListener('abort', abort));
      if (call) report(request, call);
      limitConnecting(request, connectMs, end);
      rejectTunnelRefusal(request);
      const wasStale = watchReuse(request);
      request.on('response', resolve);
      // Nobody asked for another protocol.
      request.on('upgrade', ({ statusCode }, socket) => {
        socket.destroy();
        reject(refused({ status: statusCode!, header: () => undefined }));
      });
      // Stays after the response: a socket that fails later is told by the body's own error.
      request.on('error', (error: NodeJS.ErrnoException) => {
        if (wasStale(error) && !signal.aborted) {
          resolve(this.send(url, upstream, createAgent(secure, getProxyForUrl(target), ONCE)));
        } else {
          reject(asChatError(error));
        }
      });
      request.end(body);
    });
  }

  onApplicationShutdown() {
    for (const agent of this.agents.values()) agent.destroy();
  }

  private agentFor(target: URL): http.Agent {
    const proxy = getProxyForUrl(target);
    const key = `${target.protocol} ${proxy}`;
    const agent = this.agents.get(key) ?? createAgent(target.protocol === 'https:', proxy, POOL);
    this.agents.set(key, agent);
    return agent;
  }
}

/** @param proxy its URL; empty for none */
function createAgent(secure: boolean, proxy: string, options: http.AgentOptions): http.Agent {
  if (secure) return proxy ? new TunnelAgent(proxy, options) : new https.Agent(options);
  return proxy ? new ForwardingAgent(proxy, options) : new http.Agent(options);
}

function report(request: ClientRequest, call: UpstreamCall) {
  let response: IncomingMessage | undefined;
  let failure: string | undefined;
  request.once('response', (answer: IncomingMessage) => {
    response = answer;
    call.answered(answer.statusCode!);
  });
  request.once('error', ({ code = 'error' }: NodeJS.ErrnoException) => (failure = code));
  request.once('close', () => {
    if (response && !response.complete) failure ??= 'truncated';
    call.closed(failure);
  });
}

function limitConnecting(request: ClientRequest, ms: number, end: (error: ChatError) => void) {
  const timer = setTimeout(() => {
    const message = `The provider could not be connected to within ${ms} ms.`;
    end(new ChatError('timeout_connect', message));
  }, ms);
  const stop = () => clearTimeout(timer);
  request.once('close', stop);
  request.once('socket', (socket) => {
    // One that was kept is connected, and so may be one that came through a proxy.
    const isSecure = socket instanceof TLSSocket;
    const isConnecting = isSecure ? socket.getFinished() === undefined : socket.connecting;
    if (isConnecting) socket.once(isSecure ? 'secureConnect' : 'connect', stop);
    else stop();
  });
}

/** The agent would give the proxy's answer to a CONNECT for the provider's to the request. */
function rejectTunnelRefusal(request: ClientRequest) {
  // Emitted before there is a socket; a proxy without a tunnel has no status.
  request.once('proxyConnect', ({ statusCode }: { statusCode?: number }) => {
    if (statusCode === undefined || statusCode === 200) return;
    const message = `The proxy did not connect to the provider: it answered with status ${statusCode}.`;
    request.destroy(new ChatError('provider_unavailable', message));
  });
}

/** @returns what tells whether a connection that was kept failed before a byte of the answer came */
function watchReuse(request: ClientRequest): (error: NodeJS.ErrnoException) => boolean {
  let bytesBefore = 0;
  request.once('socket', (socket) => (bytesBefore = socket.bytesRead));
  return ({ code }) =>
    request.reusedSocket &&
    (code === 'ECONNRESET' || code === 'EPIPE') &&
    request.socket?.bytesRead === bytesBefore;
}

function asChatError(error: NodeJS.ErrnoException): ChatError {
  if (error instanceof ChatError) return error;
  const message = `The provider could not be reached (${error.code ?? 'unknown reason'}).`;
  return new ChatError('provider_unavailable', message, { cause: error });
}
