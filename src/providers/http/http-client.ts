import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { getProxyForUrl } from 'proxy-from-env';
import type { Subscription } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { UpstreamObserver } from '../upstream-observer.js';
import { ForwardingAgent, stopConnecting, TunnelAgent } from './proxy-agents.js';
import { refused } from './upstream-error.js';

/** As many connections are kept as there were requests at a time: those are bounded elsewhere. */
const POOL = { keepAlive: true, noDelay: true, maxFreeSockets: Infinity };

/** One request, on a connection of its own. */
const ONCE = { keepAlive: false, noDelay: true };

/**
 * Connections read into one buffer, and Node's parser copies what it passes on of it. For every read
 * of one without TLS, Node by itself makes 64 kB.
 */
const onread = {
  buffer: Buffer.allocUnsafeSlow(65_536),
  callback(this: Socket, length: number, buffer: Uint8Array) {
    const isExpected = this.emit('data', buffer.subarray(0, length));
    // What came unasked is not to be taken for the next request's answer.
    if (!isExpected) this.destroy();
    return true;
  },
};

export interface UpstreamRequest {
  method: string;
  headers: Record<string, string>;
  body?: string;
  /** When it is closed, so is the socket, in every phase: connecting, waiting, reading the body. */
  demand: Subscription;
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
  /** By origin: the configuration names few. */
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
  request(target: URL, upstream: UpstreamRequest): Promise<IncomingMessage> {
    return this.send(target, upstream, this.agentFor(target));
  }

  private send(
    target: URL,
    upstream: UpstreamRequest,
    agent: http.Agent,
  ): Promise<IncomingMessage> {
    const { method, body, demand, connectMs, observer } = upstream;
    return new Promise((resolve, reject) => {
      const call = observer?.sending(method, target);
      const headers: http.OutgoingHttpHeaders = { ...upstream.headers, ...call?.headers };
      headers['accept-encoding'] = 'identity';
      if (body !== undefined) headers['content-length'] = Buffer.byteLength(body);
      const { request: make } = target.protocol === 'https:' ? https : http;
      const request = make(target, { method, headers, agent });
      let answer: IncomingMessage | undefined;
      let failure: string | undefined;
      let bytesBefore = 0;

      const end = (error?: ChatError) => {
        request.destroy(error);
        if (!request.socket) stopConnecting(request, error);
      };
      // Not by the option `signal`: it destroys the request with an error, which Node emits on a
      // socket without a listener when the body is complete but not yet read.
      const drop = () => {
        call?.dropped();
        end();
      };
      demand.add(drop);
      // One that was kept is connected.
      if (!request.reusedSocket) limitConnecting(request, connectMs, end);
      request.on('socket', ({ bytesRead }) => (bytesBefore = bytesRead));
      request.on('response', (response) => {
        answer = response;
        call?.answered(response.statusCode!);
        resolve(response);
      });
      // Nobody asked for another protocol.
      request.on('upgrade', ({ statusCode }, socket) => {
        socket.destroy();
        reject(refused({ status: statusCode!, header: () => undefined }));
      });
      // Stays after the response: a socket that fails later is told by the body's own error.
      request.on('error', (error: NodeJS.ErrnoException & { rawPacket?: Buffer }) => {
        // Of an answer that is none, in the buffer that all read into.
        delete error.rawPacket;
        failure = error.code ?? 'error';
        if (wasStale(request, bytesBefore, error) && !demand.closed) {
          resolve(this.send(target, upstream, createAgent(target, ONCE)));
        } else {
          reject(asChatError(error));
        }
      });
      // Node can say so twice, when the body is read to its end after that of the connection.
      request.once('close', () => {
        demand.remove(drop);
        if (answer && !answer.complete) failure ??= 'truncated';
        call?.closed(failure);
      });
      // Node keeps headers that it joins with a body in all the pieces that it made them of.
      request.flushHeaders();
      request.end(body);
    });
  }

  onApplicationShutdown() {
    for (const agent of this.agents.values()) agent.destroy();
  }

  private agentFor(target: URL): http.Agent {
    const known = this.agents.get(target.origin);
    if (known) return known;
    const agent = createAgent(target, POOL);
    this.agents.set(target.origin, agent);
    return agent;
  }
}

function createAgent(target: URL, options: http.AgentOptions): http.Agent {
  const isSecure = target.protocol === 'https:';
  const proxy = getProxyForUrl(target);
  if (proxy) return new (isSecure ? TunnelAgent : ForwardingAgent)(proxy, options);
  return new (isSecure ? https : http).Agent({ ...options, onread });
}

function limitConnecting(request: ClientRequest, ms: number, end: (error: ChatError) => void) {
  const timer = setTimeout(() => {
    const message = `The provider could not be connected to within ${ms} ms.`;
    end(new ChatError('timeout_connect', message));
  }, ms);
  const stop = () => clearTimeout(timer);
  request.on('close', stop);
  request.on('socket', (socket) => {
    // One that came through a proxy may be connected.
    const isSecure = socket instanceof TLSSocket;
    const isConnecting = isSecure ? socket.getFinished() === undefined : socket.connecting;
    if (isConnecting) socket.once(isSecure ? 'secureConnect' : 'connect', stop);
    else stop();
  });
}

/** Whether a connection that was kept failed before a byte of the answer came. */
function wasStale(
  request: ClientRequest,
  bytesBefore: number,
  { code }: NodeJS.ErrnoException,
): boolean {
  return (
    request.reusedSocket &&
    (code === 'ECONNRESET' || code === 'EPIPE') &&
    request.socket?.bytesRead === bytesBefore
  );
}

function asChatError(error: NodeJS.ErrnoException): ChatError {
  if (error instanceof ChatError) return error;
  const message = `The provider could not be reached (${error.code ?? 'unknown reason'}).`;
  return new ChatError('provider_unavailable', message, { cause: error });
}
