import type { IncomingMessage } from 'node:http';
import type { Protocol } from './wire.js';

export interface ChatBody {
  model?: string;
  messages?: { role: string; content: unknown; [field: string]: unknown }[];
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  [field: string]: unknown;
}

/** One request as it came, and what has become of it so far. */
export class UpstreamRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly protocol: Protocol | 'unknown';
  /** The name that steers: Azure's deployment, otherwise the body's model. */
  readonly model: string;

  /** Content of choice 0 written so far. */
  sent = '';
  /** Completion tokens that it told of, if it did. */
  reported: number | undefined;
  /** The upstream ended the exchange itself, be it well or by a scripted fault. */
  finished = false;
  /** The client closed the connection before that. */
  closedEarly = false;
  /** Resolves once the exchange is over, either way. */
  readonly closed: Promise<void>;
  readonly markClosed: () => void;

  constructor(
    req: IncomingMessage,
    readonly body: ChatBody,
    /** The connection had a request before. */
    readonly reusesSocket = false,
  ) {
    this.method = req.method ?? '';
    this.path = req.url ?? '';
    this.headers = req.headers;
    const route = routeOf(this.method, new URL(this.path, 'http://upstream'));
    this.protocol = route.protocol;
    this.model = route.deployment ?? body.model ?? '';
    let markClosed = () => {};
    this.closed = new Promise((resolve) => (markClosed = resolve));
    this.markClosed = markClosed;
  }
}

function routeOf(method: string, { pathname, searchParams }: URL) {
  if (method !== 'POST') return { protocol: 'unknown' } as const;
  if (pathname.endsWith('/api/chat')) return { protocol: 'ollama' } as const;
  if (!pathname.endsWith('/chat/completions')) return { protocol: 'unknown' } as const;

  const [, deployment] = /\/openai\/deployments\/([^/]+)\/chat\/completions$/.exec(pathname) ?? [];
  if (deployment !== undefined) {
    // Azure answers 404 without an api-version.
    if (!searchParams.has('api-version')) return { protocol: 'unknown' } as const;
    return { protocol: 'azure', deployment: decodeURIComponent(deployment) } as const;
  }
  if (pathname.endsWith('/openai/v1/chat/completions')) return { protocol: 'azure' } as const;
  return { protocol: 'openai' } as const;
}
