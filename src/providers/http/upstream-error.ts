import { ChatError } from '../../errors/chat-error.js';
import { retryAfterMs } from './retry-after.js';

/** What a provider's refusal said, in whichever protocol. */
export interface UpstreamRefusal {
  status: number;
  header: (name: string) => string | null | undefined;
  message?: string;
  type?: string | null;
  code?: string | null;
  param?: string | null;
}

/** DESIGN's table of provider failures before the first byte, by HTTP status. */
export function refused({ status, header, message, ...upstream }: UpstreamRefusal): ChatError {
  switch (status) {
    case 400:
    case 404:
    case 409:
    case 413:
    case 422:
      return new ChatError(
        'provider_rejected',
        message ?? `The provider refused the request with status ${status}.`,
        { status, upstream },
      );
    case 401:
    case 402:
    case 403:
      // The provider's own words can quote the key.
      return new ChatError('provider_auth', "The provider refused this server's credentials.");
    case 408:
      return new ChatError('timeout_first_token', 'The provider timed out.');
    case 429:
      return new ChatError('provider_rate_limited', "The provider's rate limit is reached.", {
        retryAfterMs: retryAfterMs(header),
      });
    default:
      return new ChatError('provider_unavailable', `The provider answered with status ${status}.`, {
        retryAfterMs: retryAfterMs(header),
      });
  }
}

/** @throws {ChatError} `provider_unavailable` unless the content type is one of a stream's. */
export function expectContentType(type: string | undefined, expected: RegExp) {
  if (type !== undefined && !expected.test(type)) {
    throw new ChatError(
      'provider_unavailable',
      'The provider answered with something else than a stream.',
    );
  }
}
