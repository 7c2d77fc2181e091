import type { Socket } from 'node:net';
import { ResponseParser, type ResponseHead, type ResponseReader } from './response-parser.js';

export type SocketError = NodeJS.ErrnoException;

/** What becomes of an exchange. */
export interface ExchangeObserver {
  /** The head of the response is there. */
  onResponse(response: UpstreamResponse): void;
  /** There will be none. */
  onFailure(error: SocketError): void;
  /**
   * The exchange is over, and the connection closed, or free for the next one.
   * @param error what cut it off
   */
  onClose(error?: SocketError): void;
}

export interface BodyReader {
  /** @param bytes are read, or copied, before this returns */
  onData(bytes: Buffer): void;
  onEnd(): void;
  /** The body was cut off. */
  onError(cause: SocketError): void;
}

/** A response whose body may still be coming. */
export interface UpstreamResponse extends ResponseHead {
  /** Reads the body, from its beginning. To be called once. */
  read(reader: BodyReader): void;
  /** Closes the connection. */
  destroy(): void;
}

/** Who keeps connections. */
export interface ConnectionOwner {
  /** It can be used for another request. */
  keep(connection: Connection): void;
  /** It is closed. */
  forget(connection: Connection): void;
}

/** A connection, for one request at a time. */
export class Connection {
  private exchange?: Exchange;
  private error?: SocketError;
  private expiresAt = Infinity;
  private sentAt = 0;
  private hasBegun = false;

  constructor(
    private readonly socket: Socket,
    private readonly owner: ConnectionOwner,
  ) {
    socket.on('error', (error) => (this.error = error));
    socket.on('end', () => this.exchange?.end());
    socket.on('close', () => {
      owner.forget(this);
      this.exchange?.cut(this.error);
    });
  }

  /** Whether another request can be sent on it, for all that is known. */
  get isUsable(): boolean {
    return this.socket.writable && performance.now() < this.expiresAt;
  }

  /** Whether the last request was sent less than so many milliseconds ago, and nothing has come since. */
  isJustSent(ms: number): boolean {
    return !this.hasBegun && performance.now() - this.sentAt < ms;
  }

  /** Begins an exchange. @returns what closes the connection, until the exchange is over */
  begin(observer: ExchangeObserver): () => void {
    const exchange = new Exchange(this, observer);
    this.exchange = exchange;
    return () => exchange.destroy();
  }

  /** Sends the request of the exchange. */
  send(head: string, body: string | undefined) {
    const { socket } = this;
    this.hasBegun = false;
    this.sentAt = performance.now();
    socket.cork();
    socket.write(head, 'latin1');
    if (body !== undefined) socket.write(body);
    socket.uncork();
  }

  receive(bytes: Buffer) {
    this.hasBegun = true;
    // What comes unasked is not to be taken for the next request's response.
    if (this.exchange) this.exchange.receive(bytes);
    else this.destroy();
  }

  /** @param lastsMs how long the server keeps it for the next request, where it says so */
  release(isReusable: boolean, lastsMs = Infinity) {
    this.exchange = undefined;
    this.expiresAt = performance.now() + lastsMs;
    if (!isReusable) this.destroy();
    else if (this.socket.writableLength === 0) this.keep();
    // Over TLS all can be sent, and be counted as sent a little later.
    else setImmediate(() => this.keep());
  }

  destroy(error?: Error) {
    this.socket.destroy(error);
  }

  private keep() {
    // A server can answer before it has read all, and then has no more to read.
    if (this.isUsable && this.socket.writableLength === 0) this.owner.keep(this);
    else this.destroy();
  }
}

/** Sooner than the server closes what it keeps for so long, in milliseconds. */
const MARGIN_MS = 1_000;

/** A request and its response. */
class Exchange implements UpstreamResponse, ResponseReader {
  status = 0;
  headers: ResponseHead['headers'] = {};
  private readonly parser = new ResponseParser(this);
  private reader?: BodyReader;
  /** What came before somebody reads it. */
  private held: Buffer[] = [];
  private isOver = false;
  private error?: SocketError;

  constructor(
    private readonly connection: Connection,
    private readonly observer: ExchangeObserver,
  ) {}

  read(reader: BodyReader) {
    this.reader = reader;
    for (const bytes of this.held) reader.onData(bytes);
    this.held = [];
    if (this.parser.isOver) reader.onEnd();
    else if (this.error) reader.onError(this.error);
  }

  destroy() {
    // It may be another's by now.
    if (!this.isOver) this.connection.destroy();
  }

  receive(bytes: Buffer) {
    try {
      this.parser.push(bytes);
    } catch (error) {
      this.connection.destroy(error as Error);
    }
    if (this.parser.isOver) this.finish();
  }

  /** The other side has said all that it will. */
  end() {
    if (this.parser.end()) this.finish();
    // Else it would be closed when all is sent that is to be, which nobody reads.
    else this.connection.destroy();
  }

  /** The connection is closed. */
  cut(error?: SocketError) {
    const { status, observer, reader } = this;
    const code = status === 0 ? 'ECONNRESET' : 'truncated';
    this.error = error ?? Object.assign(new Error('The connection was closed.'), { code });
    this.isOver = true;
    if (status === 0) observer.onFailure(this.error);
    observer.onClose(this.error);
    reader?.onError(this.error);
  }

  onHead({ status, headers }: ResponseHead) {
    this.status = status;
    this.headers = headers;
    this.observer.onResponse(this);
  }

  onBody(bytes: Buffer) {
    if (this.reader) this.reader.onData(bytes);
    else this.held.push(Buffer.from(bytes));
  }

  private finish() {
    this.isOver = true;
    const [, seconds] = /\btimeout=(\d+)/i.exec(this.headers['keep-alive'] ?? '') ?? [];
    const lastsMs = seconds === undefined ? undefined : Number(seconds) * 1_000 - MARGIN_MS;
    this.connection.release(this.parser.isReusable, lastsMs);
    this.observer.onClose();
    this.reader?.onEnd();
  }
}
