/**
 * @typedef {object} ChatMessage
 * @property {'system' | 'user' | 'assistant'} role
 * @property {string} content
 *
 * @typedef {object} ChatRequest
 * @property {string} [model] none for the server's default
 * @property {ChatMessage[]} messages
 */

/** A request that the server, or something in front of it, refused. */
export class ApiError extends Error {
  /**
   * @param {string} code one of the server's, or `unreachable`, or `http` where there was none
   * @param {string} message
   * @param {{ status?: number, retryAfterMs?: number }} [details]
   */
  constructor(code, message, { status = 0, retryAfterMs } = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The server's routes that the page uses, wherever the page was loaded from. */
export class Api {
  /**
   * @param {import('./network.js').Network} network
   * @param {() => string} key the API key; empty for none
   */
  constructor(network, key) {
    this.network = network;
    this.key = key;
    this.base = new URL('.', document.baseURI);
  }

  /** @returns {Promise<string[]>} */
  async models() {
    const response = await this.#send('v1/models', {});
    const { data } = /** @type {{ data: { id: string }[] }} */ (await response.json());
    return data.map(({ id }) => id);
  }

  /**
   * Starts a run, or finds the one that was started with that idempotency key.
   * @param {ChatRequest} request
   * @param {{ idempotencyKey: string, policy: string, signal: AbortSignal }} options
   */
  start(request, { idempotencyKey, policy, signal }) {
    return this.#send('v1/chat/stream', {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'Idempotency-Key': idempotencyKey,
        'Sluice-On-Disconnect': policy,
      },
      body: JSON.stringify(request),
      signal,
    });
  }

  /**
   * A run's events after a cursor.
   * @param {string} runId
   * @param {{ lastEventId: string, signal: AbortSignal }} options
   */
  events(runId, { lastEventId, signal }) {
    return this.#send(`v1/runs/${encodeURIComponent(runId)}/events`, {
      headers: { 'Last-Event-ID': lastEventId },
      signal,
    });
  }

  /** @param {string} runId */
  cancel(runId) {
    return this.#send(`v1/runs/${encodeURIComponent(runId)}/cancel`, { method: 'POST' });
  }

  /**
   * @param {string} path
   * @param {Omit<RequestInit, 'headers'> & { headers?: Record<string, string> }} init
   * @returns {Promise<Response>} rejects with an {@link ApiError}, or with a TypeError where nobody answered
   */
  async #send(path, { headers, ...init }) {
    const key = this.key();
    const response = await this.network.fetch(new URL(path, this.base), {
      ...init,
      headers: { ...headers, ...(key !== '' && { Authorization: `Bearer ${key}` }) },
    });
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

/** @param {Response} response */
async function errorOf(response) {
  const { status, headers } = response;
  const text = await response.text().catch(() => '');
  const { error } = parse(text);
  const code = error?.code ?? 'http';
  const message = error?.message ?? `The answer had the status ${status}.`;
  return new ApiError(code, message, { status, retryAfterMs: retryAfterMs(headers) });
}

/** @param {string} text */
function parse(text) {
  try {
    return /** @type {{ error?: { code?: string, message?: string } }} */ (
      Object(JSON.parse(text))
    );
  } catch {
    return {};
  }
}

/** @param {Headers} headers */
function retryAfterMs(headers) {
  const ms = Number(headers.get('retry-after-ms') ?? NaN);
  const seconds = Number(headers.get('retry-after') ?? NaN);
  return Number.isFinite(ms) ? ms : Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
