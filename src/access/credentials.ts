import type { Request } from 'express';

/** What a request shows to be let in. */
export interface Credentials {
  /** Keys or tokens. */
  keys: readonly string[];
  ticket?: string;
}

/** OpenAI's clients send `Authorization`, Azure's `api-key`, Anthropic's `x-api-key` or several. */
const HEADERS = ['authorization', 'api-key', 'x-api-key'] as const;

const BEARER = /^Bearer +(\S+) *$/i;

/**
 * Takes the credentials out of a request, which can live as long as a stream: nothing that comes later
 * has them to log, to pass on or to keep.
 */
export function takeCredentials(request: Request): Credentials {
  const { headers, rawHeaders } = request;
  const [authorization, ...others] = HEADERS.map((name) => request.get(name));
  for (const name of HEADERS) Reflect.deleteProperty(headers, name);
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (isCredential(rawHeaders[at]!)) rawHeaders[at + 1] = '';
  }
  const bearer = BEARER.exec(authorization ?? '')?.[1];
  return {
    keys: [bearer, ...others].filter((key) => key !== undefined),
    ticket: takeTicket(request),
  };
}

function isCredential(header: string): boolean {
  return (HEADERS as readonly string[]).includes(header.toLowerCase());
}

function takeTicket(request: Request): string | undefined {
  const { url } = request;
  // A query may have more of them.
  const mark = url.indexOf('?');
  const parameters = mark === -1 ? [] : url.slice(mark + 1).split('&');
  const tickets = parameters.filter((parameter) => parameter.startsWith('ticket='));
  if (tickets.length === 0) return undefined;
  const others = parameters.filter((parameter) => !tickets.includes(parameter));
  request.url = `${url.slice(0, mark)}?${others.join('&')}`;
  request.originalUrl = request.url;
  return tickets[0]!.slice('ticket='.length);
}
