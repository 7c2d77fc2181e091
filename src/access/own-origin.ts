import type { Request } from 'express';
import { isLoopback } from '../config/loopback.js';
import { ChatError } from '../errors/chat-error.js';

/**
 * Without keys, only pages and programs of this machine may call: otherwise any web page that its
 * user visits could spend tokens through a plain GET, or read answers by rebinding its DNS name.
 *
 * @throws {ChatError} `permission_denied`
 */
export function expectOwnOrigin({ headers }: Request) {
  const { host, origin } = headers;
  if (host === undefined || !isLoopback(hostname(`http://${host}`))) {
    throw denied(`the host ${JSON.stringify(host ?? '')}`);
  }
  if (origin !== undefined && !isLoopback(hostname(origin))) {
    throw denied(`pages of ${JSON.stringify(origin)}`);
  }
  if (headers['sec-fetch-site'] === 'cross-site') throw denied('pages of other sites');
}

function hostname(url: string): string {
  try {
    return new URL(url).hostname;
  } catch {
    return '';
  }
}

function denied(whom: string): ChatError {
  return new ChatError(
    'permission_denied',
    `Without API_KEYS this server does not answer ${whom}.`,
  );
}
