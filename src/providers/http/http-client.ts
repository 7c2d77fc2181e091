import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { CONFIG, type Config } from '../../config/config.js';
import { ChatError } from '../../errors/chat-error.js';

export interface UpstreamRequest {
  method: string;
  headers: Record<string, string>;
  body?: string;
  /** Aborting closes the socket, in every phase: connecting, waiting, reading the body. */
  signal: AbortSignal;
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

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /**
   * Resolves with the response once its headers are there.
   * @throws {ChatError} `provider_unavailable` or `timeout_connect`
   */
  request(
    url: string,
    { method, headers, body, signal }: UpstreamRequest,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { protocol } = new URL(url);
      const secure = protocol === 'https:';
      const request = (secure ? https : http).request(url, {
        method,
        headers:
          body === undefined ? headers : { ...headers, 'content-length': Buffer.byteLength(body) },
        agent: this.agents[secure ? 'https:' : 'http:'],
      });
      // Not by the option `signal`: it destroys the request with an error, which Node emits on a
      // socket without a listener when the body is complete but not yet read.
      const abort = () => request.destroy();
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort);
      request.once('close', () => signal.removeEventListener('abort', abort));
      this.limitConnecting(request, secure ? 'secureConnect' : 'connect');
      request.on('response', resolve);
      // Stays after the response: a socket that fails later is told by the body's own error.
      request.on('error', (error: NodeJS.ErrnoException) =>
        reject(
          error instanceof ChatError
            ? error
            : new ChatError('provider_unavailable', describe(error), { cause: error }),
        ),
      );
      request.end(body);
    });
  }

  onApplicationShutdown() {
    for (const agent of Object.values(this.agents)) agent.destroy();
  }

  private limitConnecting(request: ClientRequest, connected: 'connect' | 'secureConnect') {
    const ms = this.config.CONNECT_TIMEOUT_MS;
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
}

function describe(error: NodeJS.ErrnoException) {
  return `The provider could not be reached (${error.code ?? 'unknown reason'}).`;
}
