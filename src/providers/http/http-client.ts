import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Subscription } from 'rxjs';
import { ChatError, type ErrorCode } from '../../errors/chat-error.js';
import type { UpstreamCall, UpstreamObserver } from '../upstream-observer.js';
import type { Connection, SocketError, UpstreamResponse } from './connection.js';
import { Origin } from './origin.js';
import { requestHead } from './request-head.js';
import { MalformedResponse } from './response-parser.js';

/** What a connection fails with that the other side has closed. */
const STALE = new Set(['ECONNRESET', 'EPIPE']);

/** So soon after a request was sent it shows that its connection was stale, in milliseconds. */
const STALE_MS = 1_000;

export interface UpstreamRequest {
  method: string;
  headers: Record<string, string>;
  body?: string;
  /** When it is closed, so is the connection, in every phase: connecting, waiting, reading the body. */
  demand: Subscription;
  /** How long connecting may take, in milliseconds. */
  connectMs: number;
  observer?: UpstreamObserver;
}

/**
 * HTTP/1.1 to the providers, over keep-alive connections and through the proxy that `HTTPS_PROXY`,
 * `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name. It follows no redirect, decodes nothing and has one deadline, for
 * connecting: the others are routing's.
 */
@Injectable()
export class HttpClient implements OnApplicationShutdown {
  /** By URL: the configuration names few. */
  private readonly origins = new Map<string, Origin>();
  private readonly lifetime = new Subscription();

  /**
   * Resolves with the response once its head is there.
   *
   * A connection that was kept can be closed by its other side just when it is used again (RFC 9112
   * §9.5), which shows as soon as the request is sent. That says nothing of the provider: it goes out
   * once more, at once and on a new connection. Not on the next that was kept: a provider that resets
   * what it has read would get it as often as there are connections.
   *
   * @throws {ChatError} `provider_unavailable` or `timeout_connect`
   */
  async request(target: URL, upstream: UpstreamRequest): Promise<UpstreamResponse> {
    const { demand } = upstream;
    try {
      const origin = this.originOf(target);
      const kept = demand.closed ? undefined : origin.takeKept();
      return await this.send(origin, target, upstream, kept).catch((error: unknown) => {
        const isStale = kept?.isJustSent(STALE_MS) && STALE.has(codeOf(error));
        if (!isStale || demand.closed || this.lifetime.closed) throw error;
        return this.send(origin, target, upstream);
      });
    } catch (error) {
      throw asChatError(error);
    }
  }

  onApplicationShutdown() {
    this.lifetime.unsubscribe();
  }

  private originOf(target: URL): Origin {
    const known = this.origins.get(target.origin);
    if (known) return known;
    const origin = new Origin(target, this.lifetime);
    this.origins.set(target.origin, origin);
    return origin;
  }

  /** @throws what its connection failed with */
  private async send(
    origin: Origin,
    target: URL,
    upstream: UpstreamRequest,
    kept?: Connection,
  ): Promise<UpstreamResponse> {
    const { method, body, demand, observer } = upstream;
    const call = observer?.sending(method, target);
    let connection = kept;
    let head: string;
    try {
      head = requestHead(method, origin.targetOf(target), {
        host: target.host,
        ...origin.authorizationFor(target),
        ...upstream.headers,
        ...call?.headers,
        'accept-encoding': 'identity',
        ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
      });
      connection ??= await this.connect(origin, upstream, call);
    } catch (error) {
      kept?.destroy();
      call?.closed(codeOf(error));
      throw error;
    }
    const response = begin(connection, demand, call);
    connection.send(head, body);
    return response;
  }

  private async connect(
    origin: Origin,
    { demand, connectMs }: UpstreamRequest,
    call?: UpstreamCall,
  ): Promise<Connection> {
    const controller = new AbortController();
    const giveUp = (code: ErrorCode, message: string) => {
      controller.abort(new ChatError(code, message));
    };
    const drop = () => {
      call?.dropped();
      giveUp('provider_unavailable', 'Nobody waits for the provider.');
    };
    const stop = () => giveUp('provider_unavailable', 'The server is shutting down.');
    const timer = setTimeout(() => {
      giveUp('timeout_connect', `The provider could not be connected to within ${connectMs} ms.`);
    }, connectMs);
    demand.add(drop);
    this.lifetime.add(stop);
    try {
      return await origin.connect(controller.signal);
    } finally {
      clearTimeout(timer);
      demand.remove(drop);
      this.lifetime.remove(stop);
    }
  }
}

/**
 * What the request that is about to be sent is answered with. It knows nothing of the request, which
 * would be kept for as long as the answer lasts.
 */
function begin(
  connection: Connection,
  demand: Subscription,
  call?: UpstreamCall,
): Promise<UpstreamResponse> {
  return new Promise((resolve, reject) => {
    const drop = () => {
      call?.dropped();
      close();
    };
    const close = connection.begin({
      onResponse: (response) => {
        call?.answered(response.status);
        resolve(response);
      },
      onFailure: reject,
      onClose: (error) => {
        demand.remove(drop);
        call?.closed(error && codeOf(error));
      },
    });
    demand.add(drop);
  });
}

/** What failed, in a word. */
function codeOf(error: unknown): string {
  return (error as SocketError).code ?? 'error';
}

function asChatError(error: unknown): ChatError {
  if (error instanceof ChatError) return error;
  const message =
    error instanceof MalformedResponse
      ? 'The provider answered with something else than HTTP/1.1.'
      : `The provider could not be reached (${codeOf(error)}).`;
  return new ChatError('provider_unavailable', message, { cause: error });
}
