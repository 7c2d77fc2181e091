import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { ChatError } from '../../errors/chat-error.js';
import type { UpstreamCall, UpstreamObserver } from '../upstream-observer.js';
import { refused } from './upstream-error.js';

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
 * HTTP to the providers, over keep-alive connections. It follows no redirect, decodes nothing and
 * has one deadline, for connecting: the others are routing's.
 */
@Injectable()
export class HttpClient implements OnApplicationShutdown {
  private readonly agents = {
    'http:': new http.Agent({ keepAlive: true, noDelay: true }),
    'https:': new https.Agent({ keepAlive: true, noDelay: true }),
  };

  /**
   * Resolves with the response once its headers are there.
   *
   * A connection that was kept can be closed by its other side just when it is used again (RFC 9112
   * §9.5). That says nothing of the provider: the request goes out once more, at once. Each such
   * failure uses one of the kept connections up, so that the last word is a new one's.
   *
   * @throws {ChatError} `provider_unavailable` or `timeout_connect`
   */
  request(url: string, upstream: UpstreamRequest): Promise<IncomingMessage> {
    const { method, headers, body, signal, connectMs, observer } = upstream;
    return new Promise((resolve, reject) => {
      const target = new URL(url);
      const secure = target.protocol === 'https:';
      const call = observer?.sending(method, target);
      const request = (secure ? https : http).request(url, {
        method,
        headers: {
          'accept-encoding': 'identity',
          ...headers,
          ...call?.headers,
          ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
        },
        agent: this.agents[secure ? 'https:' : 'http:'],
      });
      // Not by the option `signal`: it destroys the request with an error, which Node emits on a
      // socket without a listener when the body is complete but not yet read.
      const abort = () => {
        call?.dropped();
        request.destroy();
      };
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort);
      request.once('close', () => signal.removeEventListener('abort', abort));
      if (call) report(request, call);
      limitConnecting(request, connectMs, secure ? 'secureConnect' : 'connect');
      const wasStale = watchReuse(request);
      request.on('response', resolve);
      // Nobody asked for another protocol.
      request.on('upgrade', ({ statusCode }, socket) => {
        socket.destroy();
        reject(refused({ status: statusCode!, header: () => undefined }));
      });
      // Stays after the response: a socket that fails later is told by the body's own error.
      request.on('error', (error: NodeJS.ErrnoException) => {
        if (wasStale(error) && !signal.aborted) resolve(this.request(url, upstream));
        else reject(asChatError(error));
      });
      request.end(body);
    });
  }

  onApplicationShutdown() {
    for (const agent of Object.values(this.agents)) agent.destroy();
  }
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

function limitConnecting(
  request: ClientRequest,
  ms: number,
  connected: 'connect' | 'secureConnect',
) {
  const timer = setTimeout(() => {
    const message = `The provider could not be connected to within ${ms} ms.`;
    request.destroy(new ChatError('timeout_connect', message));
  }, ms);
  const stop = () => clearTimeout(timer);
  request.once('close', stop);
  request.once('socket', (socket) => {
    if (request.reusedSocket) stop();
    else socket.once(connected, stop);
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
