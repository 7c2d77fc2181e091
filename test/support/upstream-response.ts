import type { UpstreamResponse } from '../../src/providers/http/connection.js';

/** A response of a provider, all of which has come. */
export function upstreamResponse(
  status: number,
  body: string,
  headers: Record<string, string> = {},
): UpstreamResponse {
  return {
    status,
    headers,
    read: (reader) => {
      reader.onData(Buffer.from(body));
      reader.onEnd();
    },
    destroy: () => undefined,
  };
}
