import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Subscription } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { UpstreamCall, UpstreamObserver } from '../upstream-observer.js';
import type { Connection, SocketError, UpstreamResponse } from './connection.js';
import { Origin } from './origin.js';
import { requestHead } from './request-head.js';
import { MalformedResponse } from './response-parser.js';

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
    try {
      return await send(origin, target, upstream, kept).catch((error: unknown) => {
        const isStale = kept && !kept.hasBegun && STALE.has(codeOf(error));
        if (!isStale || upstream.demand.closed || origin.isClosed) throw error;
        return send(origin, target, upstream);
      });
    } catch (error) {
      throw asChatError(error);
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
    connection ??= await connect(origin, upstream, call);
  } catch (error) {
    kept?.destroy();
    call?.closed(codeOf(error));
    throw error;
  }
  return new Promise((resolve, reject) => {
    const drop = () => {
      call?.dropped();
      close();
    };
    const close = connection.send(head, body, {
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

async function connect(
  origin: Origin,
  { demand, connectMs }: UpstreamRequest,
  call?: UpstreamCall,
): Promise<Connection> {
  const controller = new AbortController();
  const drop = () => {
    call?.dropped();
    controller.abort(new ChatError('provider_unavailable', 'Nobody waits for the provider.'));
  };
  const timer = setTimeout(() => {
    const message = `The provider could not be connected to within ${connectMs} ms.`;
    controller.abort(new ChatError('timeout_connect', message));
  }, connectMs);
  demand.add(drop);
  try {
    return await origin.connect(controller.signal);
  } finally {
    clearTimeout(timer);
    demand.remove(drop);
  }
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
