import { UsageError } from './usage-error.js';

/** An answer that is no success, with what the server said of it. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryable: boolean,
    /** How long to wait before another try, in seconds, where the server says so. */
    readonly retryAfter?: string,
  ) {
    super(message);
  }
}

export interface Call {
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  signal?: AbortSignal;
}

/** A Sluice server as its clients see it. */
export class Server {
  readonly url: URL;
  private readonly key?: string;

  /**
   * @param url its address; `http://` may be left out
   * @throws {UsageError} when that is no address or has a user, or the key is none that can be sent
   */
  constructor(url: string, key?: string) {
    const address = url.includes('://') ? url : `http://${url}`;
    if (!/^https?:/i.test(address) || !URL.canParse(address)) {
      // What stands before an @ can be a password.
      const shown = url.replace(/^.*@/s, '…@');
      throw new UsageError(`${JSON.stringify(shown)} is not a URL of HTTP.`);
    }
    this.url = new URL(address.replace(/\/*$/, '/'));
    if (this.url.username || this.url.password) {
      // fetch takes none, and quotes them where it says so.
      throw new UsageError('The URL has a user or a password. A key goes with --key.');
    }
    this.key = key?.trim();
    if (this.key !== undefined && !/^[ -~]*$/.test(this.key)) {
      throw new UsageError("The key has characters beyond ASCII, or that can't be printed.");
    }
  }

  get headers(): Record<string, string> {
    return this.key === undefined ? {} : { authorization: `Bearer ${this.key}` };
  }

  /** @param path without a leading slash, so that the server may have a path of its own */
  resolve(path: string): URL {
    return new URL(path, this.url);
  }

  /** @throws {Refusal} for any status but a 2xx; what `fetch` throws when there is no answer */
  async call(path: string, { method = 'GET', headers, body, signal }: Call = {}) {
    const response = await fetch(this.resolve(path), {
      method,
      headers: {
        ...this.headers,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      // A POST that is redirected would become a GET, and the key go elsewhere.
      redirect: 'manual',
      signal,
    });
    if (response.ok) return response;
    throw await refusalOf(response);
  }
}

/** The system's word for why there was no answer, such as ECONNREFUSED. */
export function causeOf(error: unknown): string {
  const { code, cause } = Object(error) as { code?: string; cause?: { code?: string } };
  return code ?? cause?.code ?? '';
}

async function refusalOf(response: Response): Promise<Refusal> {
  const { status, headers } = response;
  const body = await response.text().catch(() => '');
  const { error } = parse(body) as { error?: { message?: unknown; code?: unknown } };
  const location = headers.get('location');
  // A proxy that has no server for the moment answers by itself.
  const isPassing = [429, 502, 503, 504].includes(status);
  const shouldRetry = headers.get('x-should-retry') ?? String(isPassing);
  const foreign = `No Sluice server answered, but HTTP ${status}${location ? ` to ${location}` : ''}.`;
  return new Refusal(
    status,
    typeof error?.code === 'string' ? error.code : `http_${status}`,
    typeof error?.message === 'string' ? error.message : foreign,
    shouldRetry === 'true',
    headers.get('retry-after') ?? undefined,
  );
}

function parse(json: string): object {
  try {
    return Object(JSON.parse(json)) as object;
  } catch {
    return {};
  }
}
