import { EventEmitter, once } from 'node:events';
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';

export interface OpenOptions {
  port: number;
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  /** An object is sent as JSON. */
  body?: string | Buffer | object;
}

/**
 * How an answer ended: with its whole body, with a FIN before that, with a connection error such
 * as an RST, or because the test itself left.
 */
export type Ending = 'complete' | 'truncated' | 'reset' | 'left';

/** Sends one request on a connection of its own; a GET unless there is a body. */
export function open(options: OpenOptions): HttpCall {
  return new HttpCall(options);
}

export class HttpCall {
  /** Never rejects. */
  readonly ended: Promise<Ending>;

  readonly #socket: Socket;
  readonly #response: Promise<IncomingMessage>;
  readonly #progress = new EventEmitter();
  readonly #decoder = new StringDecoder('utf8');
  readonly #chunks: Buffer[] = [];
  #text = '';
  #ending: Ending | undefined;
  #left = false;

  constructor({ port, method, path = '/', headers, body }: OpenOptions) {
    const isJson = typeof body === 'object' && !Buffer.isBuffer(body);
    const payload = isJson ? JSON.stringify(body) : body;

    this.#socket = connect(port, '127.0.0.1').setNoDelay();
    const req = request({
      method: method ?? (payload === undefined ? 'GET' : 'POST'),
      path,
      headers: {
        host: `127.0.0.1:${port}`,
        ...(isJson && { 'content-type': 'application/json' }),
        ...(payload !== undefined && { 'content-length': Buffer.byteLength(payload) }),
        ...headers,
      },
      createConnection: () => this.#socket,
    });

    this.ended = new Promise((resolve) => {
      const end = (ending: Ending) => {
        this.#ending ??= ending;
        this.#progress.emit('change');
        resolve(this.#ending);
      };
      req.once('response', (response: IncomingMessage) => {
        response.on('data', (chunk: Buffer) => this.#receive(chunk));
        response.once('end', () => end('complete'));
        // A cut body is an error here too; the socket's own events tell which.
        response.on('error', () => {});
      });
      this.#socket.once('close', (hadError: boolean) => {
        end(this.#left ? 'left' : hadError ? 'reset' : 'truncated');
      });
    });
    this.#response = new Promise((resolve, reject) => {
      req.once('response', resolve);
      req.on('error', reject);
    });
    this.#response.catch(() => {});
    req.end(payload);
  }

  /** Rejects when the connection ends before the head. */
  get status(): Promise<number> {
    return this.#response.then(({ statusCode }) => statusCode!);
  }

  /** Rejects when the connection ends before the head. */
  get headers(): Promise<IncomingHttpHeaders> {
    return this.#response.then(({ headers }) => headers);
  }

  /** The body so far, without HTTP's chunk framing. */
  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** The body so far, up to its last whole character. */
  text(): string {
    return this.#text;
  }

  /** The body so far, once `pattern` is in it. Rejects when that can no longer be, or takes too long. */
  async until(pattern: string | RegExp, timeoutMs = 5000): Promise<string> {
    const signal = AbortSignal.timeout(timeoutMs);
    const found = () =>
      typeof pattern === 'string' ? this.#text.includes(pattern) : this.#text.search(pattern) >= 0;
    while (!found()) {
      const why = this.#ending ?? (signal.aborted ? `${timeoutMs} ms passed` : undefined);
      if (why !== undefined) throw new Error(`no ${String(pattern)} (${why}) in: ${this.#text}`);
      await once(this.#progress, 'change', { signal }).catch(() => {});
    }
    return this.#text;
  }

  /** Resolves when the body has so many bytes. Rejects when it ended with fewer, or takes too long. */
  async untilBytes(count: number, timeoutMs = 5000): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs);
    const length = () => this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    while (length() < count) {
      const why = this.#ending ?? (signal.aborted ? `${timeoutMs} ms passed` : undefined);
      if (why !== undefined) throw new Error(`no ${count} bytes (${why}) in: ${this.#text}`);
      await once(this.#progress, 'change', { signal }).catch(() => {});
    }
  }

  /** Leaves with an RST. */
  destroy(): void {
    this.#left = true;
    // A reset of a socket that is ending already fails and keeps its handle.
    if (this.#socket.writableEnded) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  /** Leaves with a FIN. */
  end(): void {
    this.#left = true;
    this.#socket.end();
  }

  /** Stops reading once the head is there; some kB more may still be taken in. */
  async pause(): Promise<void> {
    (await this.#response).pause();
  }

  async resume(): Promise<void> {
    (await this.#response).resume();
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#text += this.#decoder.write(chunk);
    this.#progress.emit('change');
  }
}
