import type { ChatError } from '../../errors/chat-error.js';

/** https://docs.anthropic.com/en/api/errors#http-errors */
const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

/** A failure as Anthropic's clients know it. Its own code is where their SDK reads `errorCode`. */
export function anthropicError({ status, message, body }: ChatError) {
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  const details = { error_code: body.code };
  return { type: 'error' as const, error: { type, message, details } };
}
