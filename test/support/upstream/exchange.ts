import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
// Not the global one: a test's fake clock must not stop the upstream.
import { setTimeout as delay } from 'node:timers/promises';
import type { Options } from './model-name.js';
import { OllamaWire } from './ollama.wire.js';
import { AzureWire, OpenAiWire } from './openai.wire.js';
import type { UpstreamRequest } from './request.js';
import type { ToolCall } from './texts.js';
import type { Delta, ErrorFields, Protocol, Wire } from './wire.js';

/** Plays one answer. To return without an ending leaves the client in silence. */
export type Scenario = (exchange: Exchange) => void | Promise<void>;

interface FinishOptions {
  choice?: number;
  /** Content on the same chunk as the finish reason. */
  content?: string;
}

/**
 * One request and the answer being given, in the request's own protocol. Writing is synchronous;
 * the first write sends the head. Once the client has left, writes do nothing, and `sleep` and
 * `drained` reject with an AbortError, which ends the scenario.
 */
export class Exchange {
  readonly wire: Wire;
  readonly #gone = new AbortController();
  #completionTokens = 0;
  #captured: Buffer[] | undefined;

  constructor(
    readonly request: UpstreamRequest,
    readonly options: Options,
    readonly req: IncomingMessage,
    readonly res: ServerResponse,
    /** The TCP socket, also under TLS. */
    readonly socket: Socket,
  ) {
    this.wire = wireOf(request);
    res.once('close', () => {
      request.finished ||= res.writableFinished;
      request.closedEarly = !request.finished;
      this.#gone.abort();
      request.markClosed();
    });
  }

  get protocol(): Protocol | 'unknown' {
    return this.request.protocol;
  }

  /** Aborted when the exchange is over. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  head(status = 200, headers: Record<string, string> = {}): void {
    if (this.gone.aborted || this.res.headersSent) return;
    this.res.writeHead(status, { 'content-type': this.wire.contentType, ...headers });
    this.res.flushHeaders();
  }

  raw(bytes: string | Buffer): void {
    if (this.#captured) {
      this.#captured.push(Buffer.from(bytes));
    } else if (!this.gone.aborted) {
      this.head();
      this.res.write(bytes);
    }
  }

  /** Bytes beneath HTTP, in place of a head or between its chunks. */
  async beneath(bytes: string | Buffer): Promise<void> {
    this.gone.throwIfAborted();
    const { socket } = this.req;
    if (socket.write(bytes)) return;
    // A connection that fails is about to be gone.
    await once(socket, 'drain', { signal: this.gone }).catch(() => this.request.closed);
  }

  /** The bytes that `write` would have sent, for a scenario that cuts them elsewhere. */
  capture(write: () => void): Buffer {
    const captured: Buffer[] = (this.#captured = []);
    write();
    this.#captured = undefined;
    return Buffer.concat(captured);
  }

  /** One frame; a string goes in as it is, valid JSON or not. */
  chunk(value: object | string): void {
    this.raw(this.wire.frame(typeof value === 'string' ? value : JSON.stringify(value)));
  }

  /** OpenAI's opening chunk; nothing in Ollama, which sends its head only. */
  role(choice = 0): void {
    this.head();
    this.#chunks(this.wire.role(choice));
  }

  text(content: string, choice = 0): void {
    this.#count(content, choice);
    this.#chunks(this.wire.delta({ content }, choice));
  }

  reasoning(reasoning: string): void {
    this.#delta({ reasoning });
  }

  refusal(refusal: string): void {
    this.#delta({ refusal });
  }

  tools(calls: readonly ToolCall[]): void {
    this.#completionTokens += calls.length;
    this.#chunks(this.wire.tools(calls));
  }

  /** Texts one after the other, `ms` before each, or as fast as the socket takes them. */
  async tokens(texts: readonly string[], ms = 0): Promise<void> {
    for (const text of texts) {
      await (ms > 0 ? this.sleep(ms) : this.drained());
      this.text(text);
    }
  }

  finish(reason = 'stop', { choice = 0, content }: FinishOptions = {}): void {
    if (content !== undefined) this.#count(content, choice);
    this.#chunks(this.wire.finish(reason, this.#completionTokens, choice, content));
    if (this.wire.usageAt === 'finish') this.#report();
  }

  /** The usage chunk, where the request asked for one. */
  usage(): void {
    const chunks = this.wire.usage(this.#completionTokens);
    this.#chunks(chunks);
    if (chunks.length > 0) this.#report();
  }

  done(): void {
    if (this.wire.doneMark !== undefined) this.chunk(this.wire.doneMark);
  }

  /** Everything that belongs to a good end. */
  complete(reason = 'stop'): void {
    this.finish(reason);
    this.usage();
    this.done();
    this.end();
  }

  errorChunk(error: Partial<ErrorFields> = {}): void {
    this.chunk(this.wire.errorChunk(errorFields(error)));
  }

  /** A whole response that is not a stream. */
  respond(status: number, body: string | Buffer, headers: Record<string, string> = {}): void {
    if (this.gone.aborted) return;
    this.res.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
    this.res.end(body);
  }

  json(status: number, body: object, headers: Record<string, string> = {}): void {
    const contentType = { 'content-type': 'application/json' };
    this.respond(status, JSON.stringify(body), { ...contentType, ...headers });
  }

  error(status: number, error: Partial<ErrorFields>, headers?: Record<string, string>): void {
    this.json(status, this.wire.errorBody(status, errorFields(error)), headers);
  }

  /** Ends the HTTP body properly; the connection stays. */
  end(): void {
    this.head();
    this.res.end();
  }

  /** Closes the connection in order, but without the final HTTP chunk. */
  fin(): void {
    this.#markFinished();
    this.req.socket.destroySoon();
  }

  rst(): void {
    this.#markFinished();
    // Once the end is on its way libuv refuses to reset, and Node would keep the handle for ever.
    if (this.socket.writableEnded) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  async sleep(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.gone });
  }

  async drained(): Promise<void> {
    this.gone.throwIfAborted();
    if (this.res.writableNeedDrain) await once(this.res, 'drain', { signal: this.gone });
  }

  #report(): void {
    if (!this.gone.aborted) this.request.reported = this.#completionTokens;
  }

  #markFinished(): void {
    if (!this.gone.aborted) this.request.finished = true;
  }

  #delta(delta: Delta): void {
    this.#completionTokens += 1;
    this.#chunks(this.wire.delta(delta, 0));
  }

  #count(content: string, choice: number): void {
    this.#completionTokens += 1;
    if (choice === 0 && !this.gone.aborted) this.request.sent += content;
  }

  #chunks(chunks: object[]): void {
    for (const chunk of chunks) this.chunk(chunk);
  }
}

/** The key that the request came with. */
export function keyOf({ request: { headers } }: Exchange): string {
  const bearer = headers.authorization?.replace(/^Bearer /, '');
  return bearer ?? headers['api-key']?.toString() ?? 'none';
}

function wireOf({ protocol, model, body }: UpstreamRequest): Wire {
  if (protocol === 'ollama') return new OllamaWire(model);
  const includeUsage = body.stream_options?.include_usage === true;
  return new (protocol === 'azure' ? AzureWire : OpenAiWire)(model, includeUsage);
}

function errorFields(error: Partial<ErrorFields>): ErrorFields {
  const standard = 'The server had an error while processing your request.';
  return { message: standard, type: 'server_error', param: null, code: null, ...error };
}
