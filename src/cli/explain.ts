import { causeOf, Refusal, type Server } from './server.js';

/** What went wrong in a sentence for whoever sits at the terminal, and what to do. */
export function explain(error: unknown, { url }: Server): string {
  if (error instanceof Refusal) {
    const { status, code, message, retryable, retryAfter } = error;
    const when = retryAfter && /^\d+$/.test(retryAfter) ? ` in ${retryAfter} s` : '';
    const again = retryable ? ` Try again${when}.` : '';
    const advice = status === 401 ? ' Give a key with --key or SLUICE_API_KEY.' : again;
    return `${message} (${code})${advice}`;
  }
  const cause = causeOf(error);
  if (cause === 'ECONNREFUSED') {
    return `Nothing answers at ${url.origin}. Start a server with npm start, or give another URL.`;
  }
  if (cause === 'ENOTFOUND') return `There is no host ${url.hostname}.`;
  return `${url.origin} can't be reached (${cause || String(error)}).`;
}
