import type { IncomingMessage } from 'node:http';
import type { HttpClient, UpstreamRequest } from '../http/http-client.js';
import { readText } from '../http/stream-lines.js';
import { refusalFields } from '../http/upstream-error.js';

/** A successful answer whose body stays a Node stream: web streams cost more than the parsing. */
export class StreamResponse extends Response {
  constructor(
    readonly stream: IncomingMessage,
    init: ResponseInit,
  ) {
    super(null, init);
  }
}

/**
 * What a request brings beside what `fetch` knows: the SDK hands its `fetchOptions` on as they are. The
 * signal is among it, as the SDK would hand on one of its own in its place.
 */
export interface SdkFetchOptions {
  upstream: Pick<UpstreamRequest, 'signal' | 'connectMs' | 'observer'>;
}

/** The `fetch` that the SDK sends its requests with. A refusal's body is read, a stream is not. */
export function sdkFetch(http: HttpClient): typeof fetch {
  return async (url, init) => {
    const { method, headers, body, upstream } = init as RequestInit & SdkFetchOptions;
    // The SDK may have waited for a token.
    upstream.signal.throwIfAborted();
    const message = await http.request(url as string, {
      method: method!,
      headers: plainHeaders(headers as Headers),
      body: body as string,
      ...upstream,
    });
    const status = message.statusCode!;
    // Whoever reads the stream has its headers there, and reads no copy of them.
    if (status >= 200 && status < 300) return new StreamResponse(message, { status });
    return refusalOf(message, status);
  };
}

/** Without what the SDK tells of this machine: its system, its architecture and its runtime. */
function plainHeaders(headers: Headers): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of headers) {
    if (!name.startsWith('x-stainless-')) plain[name] = value;
  }
  return plain;
}

async function refusalOf(message: IncomingMessage, status: number): Promise<Response> {
  const headers = new Headers(
    Object.entries(message.headers).map(([name, value]): [string, string] => [name, String(value)]),
  );
  const text = await readText(message);
  // The SDK reads nothing but `error`, and that as an object.
  const error = refusalFields(text);
  const body = error ? JSON.stringify({ error }) : text;
  return new Response(status === 304 ? null : body, { status, headers });
}
