import { ChatError } from '../../errors/chat-error.js';
import type { ResponseHead } from './response-parser.js';
import { retryAfterMs } from './retry-after.js';

/** Shorter ones are placeholders such as `none`, and words of the language. */
const MIN_KEY_LENGTH = 8;

const MAX_WORDS_LENGTH = 4_000;

/** Of a type, a code or a parameter's name, in characters. */
const MAX_NAME_LENGTH = 200;

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
  /** The service's key, which its words may repeat. */
  key?: string | null;
}

/** DESIGN's table of provider failures before the first byte, by HTTP status. */
export function refused({ status, header, key, ...said }: UpstreamRefusal): ChatError {
  const upstream = {
    type: wordsOf(said.type, key),
    code: wordsOf(said.code, key),
    param: wordsOf(said.param, key),
  };
  switch (status) {
    case 400:
    case 404:
    case 409:
    case 413:
    case 422:
      return new ChatError(
        'provider_rejected',
        wordsOf(said.message, key) ?? `The provider refused the request with status ${status}.`,
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

/** Statuses of refusals. Whatever else an answer breaks off with is a failure of the provider's. */
const REFUSALS = new Set<unknown>([400, 401, 402, 403, 404, 409, 413, 422, 429]);

/** What OpenAI sends these types and codes with. */
const STATUSES = new Map([
  ['invalid_request_error', 400],
  ['context_length_exceeded', 400],
  ['rate_limit_exceeded', 429],
  ['insufficient_quota', 429],
]);

/**
 * An error within a 200: the refusal that it names, as vLLM, LiteLLM and OpenRouter do with an HTTP
 * status for a code, or else a failure in the middle of an answer.
 * @param key the service's, which its words may repeat
 */
export function reported(json: string, key?: string | null): ChatError {
  const said = saidIn(json) ?? {};
  const fields = fieldsOf(said);
  const status = [said.status, said.code, said.type].map(statusOf).find(isStatus);
  if (REFUSALS.has(status)) return refused({ ...fields, status: status!, header: () => null, key });
  const words = wordsOf(fields.message, key);
  return new ChatError('provider_error', words ?? 'The provider reported an error.');
}

/** @param name a number, also as a text, or a symbol */
function statusOf(name: unknown): unknown {
  return typeof name === 'string' ? (STATUSES.get(name) ?? Number(name)) : name;
}

function isStatus(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 400 && (value as number) < 600;
}

/**
 * What the body of a refusal says.
 * @returns undefined where it is no JSON object
 */
export function refusalFields(body: string): RefusalFields | undefined {
  const said = saidIn(body);
  return said && fieldsOf(said);
}

/**
 * An object or a text under `error`, or all of it where there is none, as Mistral, FastAPI and older
 * vLLM have it. Google's is in a list.
 */
function saidIn(body: string): Record<string, unknown> | undefined {
  const json = parseJson(body);
  const whole: unknown = Array.isArray(json) ? json[0] : json;
  if (!isObject(whole)) return undefined;
  const { error } = whole;
  const said = typeof error === 'boolean' ? whole : (error ?? whole);
  if (typeof said === 'string') return { message: said };
  return isObject(said) ? said : undefined;
}

function fieldsOf({ detail, message = detail, type, code, param }: Record<string, unknown>) {
  return {
    message: textOf(message),
    type: nameOf(type),
    code: nameOf(code),
    param: nameOf(param),
  };
}

/** @returns undefined where it is none */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** A text, or a list of what is wrong, where it comes from a schema. */
function textOf(said: unknown): string | undefined {
  if (typeof said === 'string') return said;
  try {
    return isObject(said) ? JSON.stringify(said) : undefined;
  } catch {
    // What can be parsed can be nested too deeply to be written.
    return undefined;
  }
}

function nameOf(said: unknown): string | undefined {
  return typeof said === 'string' && said.length <= MAX_NAME_LENGTH ? said : undefined;
}

/**
 * A provider's own words, for the caller: without the key, which some services repeat, and of a
 * length to be read.
 */
function wordsOf(said: unknown, key?: string | null): string | undefined {
  if (typeof said !== 'string' || said === '') return undefined;
  const words = key && key.length >= MIN_KEY_LENGTH ? said.replaceAll(key, '***') : said;
  return words.slice(0, MAX_WORDS_LENGTH);
}

export function isSuccess({ status }: ResponseHead): boolean {
  return status >= 200 && status < 300;
}

/**
 * @param type what the content type of a stream looks like
 * @throws {ChatError} `provider_unavailable` for anything else, and for what is encoded unasked
 */
export function expectStream({ headers }: ResponseHead, type: RegExp) {
  const { 'content-type': given = '', 'content-encoding': encoding = 'identity' } = headers;
  if ((given === '' || type.test(given)) && encoding === 'identity') return;
  throw new ChatError(
    'provider_unavailable',
    'The provider answered with something else than a stream.',
    { upstreamStatus: 200 },
  );
}
