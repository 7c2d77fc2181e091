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

/** What a request brings beside what `fetch` knows: the SDK hands its `fetchOptions` on as they are. */
export type SdkFetchOptions = Pick<UpstreamRequest, 'connectMs' | 'observer'>;

/** The `fetch` that the SDK sends its requests with. A refusal's body is read, a stream is not. */
export function sdkFetch(http: HttpClient): typeof fetch {
  return async (input, init) => {
    const { connectMs, observer } = init as SdkFetchOptions;
    const message = await http.request(input instanceof Request ? input.url : String(input), {
      method: init!.method!,
      headers: Object.fromEntries(new Headers(init!.headers)),
      body: init!.body as string,
      signal: init!.signal!,
      connectMs,
      observer,
    });
    const status = message.statusCode!;
    // Whoever reads the stream has its headers there, and reads no copy of them.
    if (status >= 200 && status < 300) return new StreamResponse(message, { status });
    const headers = new Headers(
      Object.entries(message.headers).map(([name, value]): [string, string] => [
        name,
        String(value),
      ]),
    );
    const text = await readText(message);
    // The SDK reads nothing but `error`, and that as an object.
    const error = refusalFields(text);
    const body = error ? JSON.stringify({ error }) : text;
    return new Response(status === 304 ? null : body, { status, headers });
  };
}
