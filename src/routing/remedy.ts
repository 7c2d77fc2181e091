import type { ChatError, ErrorCode } from '../errors/chat-error.js';
import { TargetUnavailable } from './target-unavailable.js';

/**
 * What an attempt's failure before its first content calls for:
 * - `retry`: the same target again and, when its attempts are used up, the next;
 * - `fallback`: the next target, as this one would say the same again;
 * - `give up`: nothing, as any target would say so.
 */
type Action = 'retry' | 'fallback' | 'give up';

export interface Remedy {
  action: Action;
  /** Whether it speaks against the target's health, for its breaker. */
  isOutage: boolean;
}

/** Every code that isn't here calls for nothing. */
const REMEDIES: Partial<Record<ErrorCode, Remedy>> = {
  // 5xx, no connection, no name, no TLS, a reset before the answer's head
  provider_unavailable: { action: 'retry', isOutage: true },
  // a 200 that ends, can't be read or reports a failure before its first content
  provider_truncated: { action: 'retry', isOutage: true },
  provider_malformed: { action: 'retry', isOutage: true },
  provider_error: { action: 'retry', isOutage: true },
  timeout_connect: { action: 'retry', isOutage: true },
  // a 408 too
  timeout_first_token: { action: 'retry', isOutage: true },
  // 429: it is there and says so
  provider_rate_limited: { action: 'retry', isOutage: false },
  // 401, 402, 403: another provider has other credentials
  provider_auth: { action: 'fallback', isOutage: false },
  model_not_found: { action: 'fallback', isOutage: false },
  // what this provider's API has no way to say, such as Ollama's an image's address
  invalid_request: { action: 'fallback', isOutage: false },
};

/** The same for `provider_rejected`, by status. The others (400, 422) are the request's own fault. */
const REJECTIONS: Record<number, Remedy> = {
  404: { action: 'fallback', isOutage: false },
  409: { action: 'retry', isOutage: false },
  // too long for this one; the next may take more
  413: { action: 'fallback', isOutage: false },
};

const FALLBACK: Remedy = { action: 'fallback', isOutage: false };
const NONE: Remedy = { action: 'give up', isOutage: false };

export function remedyOf(error: ChatError): Remedy {
  if (error instanceof TargetUnavailable) return FALLBACK;
  const { code, status, retryable, details } = error;
  const remedy = REMEDIES[code] ?? NONE;
  switch (code) {
    case 'provider_rejected':
      // OpenAI's word for a conversation that is longer than the model's context, with a 400.
      if (details.upstream?.code === 'context_length_exceeded') return FALLBACK;
      return REJECTIONS[status] ?? NONE;
    case 'provider_rate_limited':
      // It asks for more time than anybody waits, or its budget is used up.
      return retryable ? remedy : FALLBACK;
    case 'provider_unavailable':
      // An answer, but none of a model: a redirect, a page, another 4xx. It would come again.
      return (details.upstreamStatus ?? 500) < 500 ? FALLBACK : remedy;
    default:
      return remedy;
  }
}
