import type { IncomingMessage } from 'node:http';

/** Whether a request comes with a body that is not empty, or that can be one. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0;
}
