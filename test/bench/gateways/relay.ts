import { Agent, request, type ClientRequest, type IncomingMessage } from 'node:http';
import type { ListenOptions } from 'node:net';
import { BACKLOG } from '../backlog.js';

const { UPSTREAM_URL, PORT } = process.env;

/** Where a gateway of the bench listens. */
export const listening: ListenOptions = {
  port: Number(PORT),
  host: '127.0.0.1',
  backlog: BACKLOG,
};

/** Where its upstream is, as a base URL of OpenAI's API. */
export const upstreamUrl = UPSTREAM_URL!;

const agent = new Agent({ keepAlive: true, noDelay: true });
const FRAME_END = '\n\n';

/** Asks the upstream, as plainly as Node can. */
export function ask(
  body: string | Buffer,
  onResponse: (response: IncomingMessage) => void,
): ClientRequest {
  const outgoing = request(
    `${upstreamUrl}/chat/completions`,
    {
      method: 'POST',
      agent,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    },
    onResponse,
  );
  outgoing.on('error', () => undefined);
  return outgoing.end(body);
}

/** How many of upstream's events end in these bytes. */
export function countFrames(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(FRAME_END); at !== -1; at = bytes.indexOf(FRAME_END, at + 2)) count++;
  return count;
}
