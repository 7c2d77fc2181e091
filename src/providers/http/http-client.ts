import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Subscription } from 'rxjs';
import { cancelled, ChatError } from '../../errors/chat-error.js';
import type { UpstreamCall, UpstreamObserver } from '../upstream-observer.js';
import type { Connection, SocketError, UpstreamResponse } from './connection.js';
import { Origin } from './origin.js';
import { requestHead } from './request-head.js';

/** What a connection fails with that the other side has closed. */
const STALE = new Set(['ECONNRESET', 'EPIPE']);

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
 * `HTTP_PROXY` and `NO_PROXY` name. It follows no redirect, decodes nothing and has one deadline, for
 * connecting: the others are routing's.
 */
@Injectable()
export class HttpClient implements OnApplicationShutdown {
  /** By URL: the configuration names few. */
  private readonly origins = new Map<string, Origin>();

  /**
   * Resolves with the response once its head is there.
   *
   * A connection that was kept can be closed by its other side just when it is used again (RFC 9112
   * §9.5). That says nothing of the provider: the request goes out once more, at once and on a new
   * connection. Not on the next that was kept: a provider that resets what it has read would get it
   * as often as there are connections.
   *
   * @throws {ChatError} `provider_unavailable` or `timeout_connect`
   */
  async request(target: URL, upstream: UpstreamRequest): Promise<UpstreamResponse> {
    const origin = this.originOf(target);
    const kept = origin.take();
    if (kept) {
      try {
        return await send(origin, target, upstream, kept);
      } catch (error) {
        const { code = '' } = error as SocketError;
        const isStale = STALE.has(code) && !kept.hasBegun;
        if (!isStale || upstream.demand.closed) throw asChatError(error as SocketError);
      }
    }
    try {
      return await send(origin, target, upstream);
    } catch (error) {
      throw asChatError(error as SocketError);
    }
  }

  onApplicationShutdown() {
    for (const origin of this.origins.values()) origin.close();
  }

  private originOf(target: URL): Origin {
    const known = this.origins.get(target.origin);
    if (known) return known;
    const origin = new Origin(target);
    this.origins.set(target.origin, origin);
    return origin;
  }
}

/** @throws what its connection failed with */
async function send(
  origin: Origin,
  target: URL,
  upstream: UpstreamRequest,
  kept?: Connection,
): Promise<UpstreamResponse> {
  const { method, body, demand, observer } = upstream;
  const call = observer?.sending(method, target);
  const connection = kept ?? (await connect(origin, upstream, call));
  const { target: address, headers } = origin.address(target);
  const head = requestHead(method, address, {
    host: target.host,
    ...upstream.headers,
    ...headers,
    ...call?.headers,
    'accept-encoding': 'identity',
    ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
  });
  return new Promise((resolve, reject) => {
    const drop = () => {
      call?.dropped();
      connection.destroy();
    };
    connection.send(head, body, {
      onResponse: (response) => {
        call?.answered(response.status);
        resolve(response);
      },
      onFailure: reject,
      onClose: (error) => {
        demand.remove(drop);
        call?.closed(error && (error.code ?? 'error'));
      },
    });
    demand.add(drop);
  });
}

async function connect(
  origin: Origin,
  { demand, connectMs }: UpstreamRequest,
  call?: UpstreamCall,
): Promise<Connection> {
  const controller = new AbortController();
  const drop = () => {
    call?.dropped();
    controller.abort(cancelled());
  };
  demand.add(drop);
  const timer = setTimeout(() => {
    const message = `The provider could not be connected to within ${connectMs} ms.`;
    controller.abort(new ChatError('timeout_connect', message));
  }, connectMs);
  try {
    return await origin.connect(controller.signal);
  } catch (error) {
    call?.closed((error as SocketError).code ?? 'error');
    throw error;
  } finally {
    clearTimeout(timer);
    demand.remove(drop);
  }
}

function asChatError(error: SocketError): ChatError {
  if (error instanceof ChatError) return error;
  const message = `The provider could not be reached (${error.code ?? 'unknown reason'}).`;
  return new ChatError('provider_unavailable', message, { cause: error });
}
