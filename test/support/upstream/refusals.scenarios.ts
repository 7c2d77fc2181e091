import { gzipSync } from 'node:zlib';
import { text, wholeText } from './answers.scenarios.js';
import { keyOf, type Exchange, type Scenario } from './exchange.js';
import { TEXT, TEXT_TOKENS } from './texts.js';
import type { ErrorFields } from './wire.js';

const HTML = '<!DOCTYPE html><html><body><h1>Some proxy says no</h1></body></html>\n';
const HTML_TYPE = { 'content-type': 'text/html' };

const RETRY_AFTER_S = 7;

function invalid(message: string, param: string | null, code: string | null): ErrorFields {
  return { message, type: 'invalid_request_error', param, code };
}

function serverError(message: string, code: string | null = null): ErrorFields {
  return { message, type: 'server_error', param: null, code };
}

const ERRORS: Record<number, (exchange: Exchange) => ErrorFields> = {
  400: () => invalid("Invalid 'temperature': must be at most 2.", 'temperature', 'invalid_value'),
  // Some services repeat the whole key; it must not reach a client.
  401: (exchange) =>
    invalid(`Incorrect API key provided: ${keyOf(exchange)}.`, null, 'invalid_api_key'),
  402: () => ({ ...invalid('Insufficient balance.', null, null), type: 'insufficient_balance' }),
  403: () => invalid('This key may not use the model.', null, 'permission_denied'),
  404: ({ request }) =>
    invalid(`The model \`${request.model}\` does not exist`, null, 'model_not_found'),
  408: () => serverError('The request timed out.', 'request_timeout'),
  409: () => invalid('The request conflicts with another one.', null, 'conflict'),
  413: () => invalid('The request is too large.', 'messages', 'request_too_large'),
  418: () => invalid('A teapot.', null, null),
  422: () => invalid('messages.0.role: not a role.', 'messages.0.role', 'unprocessable_entity'),
  429: () => ({
    ...serverError('Rate limit reached for requests.', 'rate_limit_exceeded'),
    type: 'requests',
  }),
  500: () => serverError('The server had an error while processing your request.'),
  502: () => serverError('Bad gateway.'),
  503: () => serverError('The engine is currently overloaded.', 'overloaded'),
  504: () => serverError('Gateway timeout.'),
  529: () => serverError('Overloaded.', 'overloaded'),
};

function retryAfter(status: number, { options }: Exchange): Record<string, string> {
  const seconds = options.retryafter ?? (status === 429 ? RETRY_AFTER_S : undefined);
  return seconds === undefined ? {} : { 'retry-after': String(seconds) };
}

const WAITS: Record<string, () => Record<string, string>> = {
  date: () => ({ 'retry-after': new Date(Date.now() + RETRY_AFTER_S * 1000).toUTCString() }),
  past: () => ({ 'retry-after': new Date(0).toUTCString() }),
  ms: () => ({ 'retry-after-ms': '1500', 'retry-after': String(RETRY_AFTER_S) }),
  absurd: () => ({ 'retry-after': '9'.repeat(400) }),
  negative: () => ({ 'retry-after': '-5' }),
  garbage: () => ({ 'retry-after': 'in a while 5' }),
};

const waits = Object.entries(WAITS).map(([form, headers]): [string, Scenario] => [
  `retry-after-${form}`,
  (x) => x.error(429, ERRORS[429]!(x), headers()),
]);

const statuses = Object.entries(ERRORS).flatMap(([key, fields]): [string, Scenario][] => {
  const status = Number(key);
  return [
    [`status-${key}`, (x) => x.error(status, fields(x), retryAfter(status, x))],
    [
      `status-${key}-html`,
      (x) => x.respond(status, HTML, { ...retryAfter(status, x), ...HTML_TYPE }),
    ],
    [`status-${key}-empty`, (x) => x.respond(status, '', retryAfter(status, x))],
  ];
});

/** Answers that are no stream, or no good one, from their head on. */
export const refusals: Record<string, Scenario> = {
  ...Object.fromEntries(statuses),
  ...Object.fromEntries(waits),
  'status-400-key': (x) => x.error(400, invalid(`No such key: ${keyOf(x)}.`, null, null)),
  'status-400-flat': (x) => x.json(400, { object: 'error', ...ERRORS[400]!(x) }),
  'status-400-string': (x) => x.json(400, { error: ERRORS[400]!(x).message }),
  'status-400-detail': (x) => x.json(400, { detail: ERRORS[400]!(x).message }),
  'status-400-gzip': (x) => {
    const body = gzipSync(JSON.stringify(x.wire.errorBody(400, ERRORS[400]!(x))));
    x.respond(400, body, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
  },
  'status-400-endless': async (x) => {
    x.head(400, { 'content-type': 'application/json' });
    for (;;) {
      await x.drained();
      x.raw(' '.repeat(64 * 1024));
    }
  },
  'status-503-hang': (x) => {
    x.head(503, { 'content-type': 'application/json' });
    x.raw('{"error":');
  },
  'status-204': (x) => x.respond(204, ''),
  redirect: (x) => x.respond(302, '', { location: '/redirected' }),
  'redirect-307': (x) =>
    x.respond(307, '', { location: x.request.path.replace('redirect', 'text') }),
  'ok-json': (x) => x.json(200, x.wire.whole(TEXT, TEXT_TOKENS.length)),
  'ok-html': (x) => x.respond(200, HTML, HTML_TYPE),
  'ok-empty': (x) => x.respond(200, '', { 'content-type': x.wire.contentType }),
  'ok-error': (x) => x.json(200, x.wire.errorBody(500, ERRORS[500]!(x))),
  'ok-gzip': (x) => {
    x.head(200, { 'content-encoding': 'gzip' });
    x.raw(gzipSync(wholeText(x)));
    x.end();
  },
  'ok-no-type': async (x) => {
    x.res.writeHead(200);
    await text(x);
  },
  'ok-wrong-type': async (x) => {
    x.head(200, { 'content-type': 'text/plain' });
    await text(x);
  },
};
