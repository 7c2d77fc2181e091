import type { IncomingMessage } from 'node:http';
import { ChatError } from '../../errors/chat-error.js';
import { retryAfterMs } from './retry-after.js';

/** Shorter ones are placeholders such as `none`, and words of the language. */
const MIN_KEY_LENGTH = 8;

const MAX_WORDS_LENGTH = 4_000;

/** A provider's own account of why it refused. */
export interface RefusalFields {
  message?: string;
  type?: string | null;
  code?: string | null;
  param?: string | null;
}

/** What a provider's refusal said, in whichever protocol. */
export interface UpstreamRefusal extends RefusalFields {
  status: number;
  header: (name: string) => string | null | undefined;
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
        { status, upstreamStatus: status, retryAfterMs: retryAfterMs(header), upstream },
      );
    case 401:
    case 402:
    case 403:
      // The provider's own words can quote the key.
      return new ChatError('provider_auth', "The provider refused this server's credentials.", {
        upstreamStatus: status,
      });
    case 408:
      return new ChatError('timeout_first_token', 'The provider timed out.', {
        upstreamStatus: status,
        retryAfterMs: retryAfterMs(header),
      });
    case 429:
      return new ChatError('provider_rate_limited', "The provider's rate limit is reached.", {
        upstreamStatus: status,
        retryAfterMs: retryAfterMs(header),
        // OpenAI's word for a budget that is used up: no wait brings it back.
        ...(upstream.code === 'insufficient_quota' && { retryable: false }),
      });
    default:
      return new ChatError('provider_unavailable', `The provider answered with status ${status}.`, {
        upstreamStatus: status,
        retryAfterMs: retryAfterMs(header),
      });
  }
}

/**
 * What the body of a refusal says: an object or a text under `error`, or all of it where there is none,
 * as Mistral, FastAPI and older vLLM have it.
 * @returns undefined where it is no JSON object
 */
export function refusalFields(body: string): RefusalFields | undefined {
  const json = parseObject(body);
  const said = json?.error ?? json;
  if (typeof said === 'string') return { message: said };
  if (!said) return undefined;
  const {
    detail,
    message = detail,
    type,
    code,
    param,
  } = said as RefusalFields & {
    detail?: unknown;
  };
  // A list of what is wrong, where it comes from a schema.
  const text = typeof message === 'object' && message ? JSON.stringify(message) : message;
  return { message: text as string | undefined, type, code, param };
}

function parseObject(text: string): { error?: unknown } | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json ? json : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A provider's own words, for the caller: without the key, which some services repeat, and of a
 * length to be read.
 */
export function wordsOf(said: unknown, key?: string | null): string | undefined {
  if (typeof said !== 'string' || said === '') return undefined;
  const words = key && key.length >= MIN_KEY_LENGTH ? said.replaceAll(key, '***') : said;
  return words.slice(0, MAX_WORDS_LENGTH);
}

/**
 * @param type what the content type of a stream looks like
 * @throws {ChatError} `provider_unavailable` for anything else, and for what is encoded unasked
 */
export function expectStream({ headers }: IncomingMessage, type: RegExp) {
  const { 'content-type': given = '', 'content-encoding': encoding = 'identity' } = headers;
  if ((given === '' || type.test(given)) && encoding === 'identity') return;
  throw new ChatError(
    'provider_unavailable',
    'The provider answered with something else than a stream.',
    { upstreamStatus: 200 },
  );
}
