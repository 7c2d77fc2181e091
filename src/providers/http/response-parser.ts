/** What a response says before its body. */
export interface ResponseHead {
  status: number;
  /** By their names in lower case. Of those that are lists, what comes more than once is joined. */
  headers: Readonly<Record<string, string | undefined>>;
}

export interface ResponseReader {
  onHead(head: ResponseHead): void;
  /** @param bytes of what was pushed: they are read, or copied, before this returns */
  onBody(bytes: Buffer): void;
}

/** Of a head, a chunk's first line or the trailers, in bytes; as much as Node takes. */
const MAX_LINES_LENGTH = 16_384;

/** Bytes that no body comes near, and that numbers can still count one by one. */
const MAX_LENGTH = 2 ** 48;

const LF = 10;

/** RFC 9110 §5.6.2. */
const NAME = /^[\w!#$%&'*+.^`|~-]+$/;

/** Headers read here that are no lists (RFC 9110 §5.3): the first one counts, as it does for Node. */
const SINGLE = new Set(['content-type', 'retry-after']);

/** What comes is no response to a request of HTTP/1.1. */
export class MalformedResponse extends Error {
  readonly code = 'malformed';
}

/** What the next line is. */
type Line = 'status' | 'header' | 'chunk size' | 'chunk end' | 'trailer';

/**
 * Reads one response (RFC 9112), in whatever pieces it comes. Node's own parser can be used through
 * `IncomingMessage` alone, whose stream and events cost each token about as much as all else that is
 * done with it.
 */
export class ResponseParser {
  private line: Line = 'status';
  /** The line so far. */
  private pending = '';
  private linesLength = 0;
  /** Bytes to come of the body, or of its chunk. A body that lasts until the connection ends has no end. */
  private left = 0;
  private isChunked = false;
  private keepsAlive = false;
  private isHttp10 = false;
  private status = 0;
  private headers = headersOf();
  private lastName = '';
  /** Whether the response has ended. */
  isOver = false;

  constructor(private readonly reader: ResponseReader) {}

  /** Whether the connection can be used for another. */
  get isReusable(): boolean {
    return this.isOver && this.keepsAlive;
  }

  /** @throws {MalformedResponse} */
  push(bytes: Buffer) {
    let at = 0;
    while (at < bytes.length && !this.isOver) {
      at = this.left > 0 ? this.takeBody(bytes, at) : this.takeLine(bytes, at);
    }
    // Nobody asked for more.
    if (at < bytes.length) this.keepsAlive = false;
  }

  /**
   * The connection has ended.
   * @returns whether the response has, too
   */
  end(): boolean {
    if (this.left === Infinity) this.finish();
    return this.isOver;
  }

  private takeBody(bytes: Buffer, start: number): number {
    const end = Math.min(start + this.left, bytes.length);
    this.left -= end - start;
    this.reader.onBody(bytes.subarray(start, end));
    if (this.left === 0 && !this.isChunked) this.finish();
    return end;
  }

  private takeLine(bytes: Buffer, start: number): number {
    const lf = bytes.indexOf(LF, start);
    const end = lf === -1 ? bytes.length : lf;
    const next = lf === -1 ? end : lf + 1;
    this.linesLength += next - start;
    if (this.linesLength > MAX_LINES_LENGTH) throw new MalformedResponse('Its lines are too long.');
    const text = this.pending + bytes.toString('latin1', start, end);
    if (lf === -1) {
      this.pending = text;
      return next;
    }
    this.pending = '';
    this.readLine(text.endsWith('\r') ? text.slice(0, -1) : text);
    return next;
  }

  private readLine(text: string) {
    // For others on the way it may have ended a line (RFC 9112 §2.2).
    if (text.includes('\r')) throw new MalformedResponse('A line has a carriage return.');
    switch (this.line) {
      case 'status':
        // One line too many behind a body is no reason to refuse the next response.
        if (text !== '') this.readStatus(text);
        break;
      case 'header':
        if (text === '') this.readBody();
        else this.readHeader(text);
        break;
      case 'chunk size':
        this.readChunkSize(text);
        break;
      case 'chunk end':
        if (text !== '') throw new MalformedResponse('A chunk is longer than it says.');
        this.line = 'chunk size';
        break;
      case 'trailer':
        if (text === '') this.finish();
    }
  }

  private readStatus(text: string) {
    const [, minor, status] = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(text) ?? [];
    if (!status) throw new MalformedResponse('It has no status line.');
    this.status = Number(status);
    this.isHttp10 = minor === '0';
    this.keepsAlive = !this.isHttp10;
    this.headers = headersOf();
    this.line = 'header';
  }

  private readHeader(text: string) {
    const { headers } = this;
    // A line that goes on with the one before (§5.2).
    if (/^[ \t]/.test(text) && this.lastName !== '') {
      headers[this.lastName] = `${headers[this.lastName]} ${text.trim()}`;
      return;
    }
    const colon = text.indexOf(':');
    const name = text.slice(0, Math.max(colon, 0)).toLowerCase();
    if (!NAME.test(name)) throw new MalformedResponse('A header has no name.');
    const value = text.slice(colon + 1).trim();
    const others = headers[name];
    if (others === undefined) headers[name] = value;
    else if (!SINGLE.has(name)) headers[name] = `${others}, ${value}`;
    this.lastName = name;
  }

  /** How the body ends, by its head (§6.3). */
  private readBody() {
    const { status, headers, reader } = this;
    this.lastName = '';
    // Something is still to come (RFC 9110 §15.2), or it is another protocol from here on.
    if (status < 200 && status !== 101) {
      this.line = 'status';
      return;
    }
    this.linesLength = 0;
    const connection = tokensOf(headers.connection);
    if (connection.includes('close')) this.keepsAlive = false;
    else if (connection.includes('keep-alive')) this.keepsAlive = true;
    const codings = tokensOf(headers['transfer-encoding']).filter((each) => each !== 'identity');
    const length = lengthOf(headers['content-length']);
    this.isChunked = codings.length > 0;
    if (this.isChunked && (codings.length > 1 || codings[0] !== 'chunked')) {
      throw new MalformedResponse('Its body is coded as nobody asked for.');
    }
    // With a length too, or in HTTP/1.0, one of them is wrong, and what comes next may be anybody's.
    if (this.isChunked && (length !== undefined || this.isHttp10)) this.keepsAlive = false;
    if (status === 101) this.keepsAlive = false;
    reader.onHead({ status, headers });
    if (status === 101 || status === 204 || status === 304) this.finish();
    else if (this.isChunked) this.line = 'chunk size';
    else if (length === undefined) {
      this.left = Infinity;
      this.keepsAlive = false;
    } else if (length === 0) this.finish();
    else this.left = length;
  }

  private readChunkSize(text: string) {
    // What may follow the size says nothing that is known here (§7.1.1).
    const [size] = /^[0-9a-f]+(?=$|[ \t;])/i.exec(text) ?? [];
    const length = size === undefined ? NaN : parseInt(size, 16);
    if (!(length < MAX_LENGTH)) throw new MalformedResponse('A chunk has no length.');
    this.linesLength = 0;
    this.left = length;
    this.line = length === 0 ? 'trailer' : 'chunk end';
  }

  private finish() {
    this.left = 0;
    this.isOver = true;
  }
}

/** Without what objects have by themselves. */
function headersOf() {
  return Object.create(null) as Record<string, string | undefined>;
}

function tokensOf(list = ''): string[] {
  return list
    .toLowerCase()
    .split(',')
    .map((token) => token.trim())
    .filter(Boolean);
}

/** @throws {MalformedResponse} for what is no length, or several */
function lengthOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const [length, ...others] = new Set(value.split(',').map((each) => each.trim()));
  const isLength = /^\d+$/.test(length!) && Number(length) < MAX_LENGTH && others.length === 0;
  if (!isLength) throw new MalformedResponse('Its length is none.');
  return Number(length);
}
