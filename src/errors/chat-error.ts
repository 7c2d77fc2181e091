/** What each code means on the wire; DESIGN: one table in the code. */
const CODES = {
  invalid_request: { status: 400, type: 'invalid_request_error', retryable: false },
  model_not_found: { status: 404, type: 'invalid_request_error', retryable: false },
  run_not_found: { status: 404, type: 'invalid_request_error', retryable: false },
  invalid_api_key: { status: 401, type: 'authentication_error', retryable: false },
  permission_denied: { status: 403, type: 'permission_error', retryable: false },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', retryable: true },
  insufficient_quota: { status: 429, type: 'insufficient_quota', retryable: false },
  idempotency_mismatch: { status: 422, type: 'invalid_request_error', retryable: false },
  provider_rate_limited: { status: 429, type: 'rate_limit_error', retryable: true },
  provider_rejected: { status: 400, type: 'invalid_request_error', retryable: false },
  provider_auth: { status: 502, type: 'server_error', retryable: false },
  provider_unavailable: { status: 502, type: 'server_error', retryable: true },
  provider_truncated: { status: 502, type: 'server_error', retryable: true },
  provider_malformed: { status: 502, type: 'server_error', retryable: true },
  provider_error: { status: 502, type: 'server_error', retryable: true },
  timeout_connect: { status: 504, type: 'timeout_error', retryable: false },
  timeout_first_token: { status: 504, type: 'timeout_error', retryable: false },
  timeout_idle: { status: 504, type: 'timeout_error', retryable: false },
  timeout_total: { status: 504, type: 'timeout_error', retryable: false },
  shutting_down: { status: 503, type: 'server_error', retryable: true },
  store_unavailable: { status: 503, type: 'server_error', retryable: true },
  run_lost: { status: 503, type: 'server_error', retryable: true },
  resume_gap: { status: 410, type: 'invalid_request_error', retryable: false },
  cancelled: { status: 409, type: 'cancelled', retryable: false },
  internal: { status: 500, type: 'server_error', retryable: true },
} as const satisfies Record<string, { status: number; type: string; retryable: boolean }>;

export type ErrorCode = keyof typeof CODES;

export const ERROR_CODES = Object.keys(CODES) as ErrorCode[];

/** A wait longer than this is not worth a client's automatic retry, in milliseconds. */
const MAX_RETRY_AFTER_MS = 60_000;

export interface ChatErrorDetails {
  /** HTTP status instead of the code's own, for codes that cover several. */
  status?: number;
  /** How long the caller should wait before it tries again, in milliseconds. */
  retryAfterMs?: number;
  /** What a provider that refused the request said of it; passed on as it was. */
  upstream?: { type?: string | null; code?: string | null; param?: string | null };
  /** HTTP status that a provider answered with. */
  upstreamStatus?: number;
  /** Name of the request's parameter at fault. */
  param?: string;
  retryable?: boolean;
  cause?: unknown;
}

/**
 * The one error that leaves Sluice, before the first byte as an HTTP status, after it as the
 * dialect's last event. Its message is for the caller: it holds no secret and no stack.
 */
export class ChatError extends Error {
  override readonly name = 'ChatError';
  readonly status: number;
  readonly retryAfterMs?: number;
  readonly retryable: boolean;
  /** `message`, `type`, `param` and `code`, as OpenAI's clients expect an error. */
  readonly body: { message: string; type: string; param: string | null; code: string };

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: ChatErrorDetails = {},
  ) {
    super(message, { cause: details.cause });
    const row = CODES[code];
    this.status = details.status ?? row.status;
    this.retryAfterMs = details.retryAfterMs;
    this.retryable =
      details.retryable ?? (row.retryable && (details.retryAfterMs ?? 0) <= MAX_RETRY_AFTER_MS);
    this.body = {
      message,
      type: details.upstream?.type ?? row.type,
      param: details.upstream?.param ?? details.param ?? null,
      code: details.upstream?.code ?? code,
    };
    dropFrames(this);
  }

  /** The same for a caller who need not try again: that was done here. */
  spent(): ChatError {
    return new ChatError(this.code, this.message, { ...this.details, retryable: false });
  }
}

/**
 * A stack that was never read keeps all that its frames know, such as the request, for as long as
 * the error is kept, and a failed run keeps its error. Reading it makes it a text.
 */
function dropFrames(error: unknown) {
  for (let at = error; at instanceof Error; at = at.cause) String(at.stack);
}

/** An answer without a verified end. */
export function truncated(cause?: unknown): ChatError {
  return new ChatError('provider_truncated', 'The provider ended its answer early.', { cause });
}

/** A stop, where a dialect has no other word for it. */
export function cancelled(): ChatError {
  return new ChatError('cancelled', 'The run was cancelled.');
}

/** Any thrown value as a {@link ChatError}; what was not foreseen is `internal` and says no more. */
export function toChatError(error: unknown): ChatError {
  return error instanceof ChatError
    ? error
    : new ChatError('internal', 'Something went wrong inside the server.', { cause: error });
}
