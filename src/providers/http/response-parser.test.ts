import { beforeEach, describe, expect, it } from '@jest/globals';
import { MalformedResponse, ResponseParser, type ResponseHead } from './response-parser.js';

describe(ResponseParser.name, () => {
  let head: ResponseHead | undefined;
  let body: string;
  let sut: ResponseParser;

  beforeEach(() => start());

  function start() {
    head = undefined;
    body = '';
    sut = new ResponseParser({
      onHead: (given) => (head = given),
      onBody: (bytes) => (body += bytes.toString('latin1')),
    });
  }

  /** Reads a response in one piece, and then byte by byte. */
  function* reading(response: string): Iterable<string> {
    const bytes = Buffer.from(response, 'latin1');
    sut.push(bytes);
    yield 'at once';
    start();
    for (const byte of bytes) sut.push(Buffer.of(byte));
    yield 'byte by byte';
  }

  it.each([
    ['a length', 'content-length: 5\r\n\r\nhello', true],
    ['the same length twice', 'content-length: 5\r\nContent-Length: 5\r\n\r\nhello', true],
    ['chunks', 'transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n', true],
    ['chunks in capitals', 'Transfer-Encoding: Chunked\r\n\r\n05\r\nhello\r\n00\r\n\r\n', true],
    [
      'chunks with extensions',
      'transfer-encoding: chunked\r\n\r\n5 ;a=b\r\nhello\r\n0;c\r\n\r\n',
      true,
    ],
    [
      'chunks with trailers',
      'transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n',
      true,
    ],
    [
      'chunks and a length',
      'transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
      false,
    ],
    ['line feeds alone', 'transfer-encoding: chunked\n\n5\nhello\n0\n\n', true],
    ['a connection that is closed', 'connection: close\r\ncontent-length: 5\r\n\r\nhello', false],
    ['more than there should be', 'content-length: 5\r\n\r\nhelloHTTP', false],
  ])('reads a body with %s', (_, rest, isReusable) => {
    for (const how of reading(`HTTP/1.1 200 OK\r\n${rest}`)) {
      expect([how, body, sut.isOver, sut.isReusable]).toEqual([how, 'hello', true, isReusable]);
    }
  });

  it.each([
    ['no length', 'HTTP/1.1 200 OK\r\n\r\nhello'],
    ['no coding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nhello'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nhello'],
  ])('reads a body with %s until the connection ends', (_, response) => {
    for (const how of reading(response)) {
      expect([how, body, sut.isOver]).toEqual([how, 'hello', false]);
      expect([sut.end(), sut.isOver, sut.isReusable]).toEqual([true, true, false]);
    }
  });

  it.each([204, 304])('expects no body with status %d', (status) => {
    for (const how of reading(`HTTP/1.1 ${status}\r\ncontent-length: 5\r\n\r\n`)) {
      expect([how, head?.status, sut.isOver, sut.isReusable]).toEqual([how, status, true, true]);
    }
  });

  it('keeps a connection of HTTP/1.0 that says so', () => {
    const lines = ['HTTP/1.0 200 OK', 'Connection: Keep-Alive', 'Content-Length: 0', '', ''];
    for (const how of reading(lines.join('\r\n'))) {
      expect([how, sut.isOver, sut.isReusable]).toEqual([how, true, true]);
    }
  });

  it('passes over what is said before the response', () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n';
    for (const how of reading(`${early}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok`)) {
      expect([how, head, body, sut.isOver]).toEqual([
        how,
        { status: 200, headers: { 'content-length': '2' } },
        'ok',
        true,
      ]);
    }
  });

  it('passes over an empty line before the response', () => {
    for (const how of reading('\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')) {
      expect([how, head?.status, body, sut.isReusable]).toEqual([how, 200, 'ok', true]);
    }
  });

  it('takes what comes after another protocol was chosen for nothing', () => {
    for (const how of reading('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nwhatever')) {
      expect([how, head?.status, body]).toEqual([how, 101, '']);
      expect([sut.isOver, sut.isReusable]).toEqual([true, false]);
    }
  });

  it('reads headers by their names in lower case, joined, folded and without spaces around', () => {
    const lines = ['HTTP/1.1 429', 'Retry-After:3', 'a:  x \t', 'A: y', 'b: one', '\ttwo', '', ''];
    for (const how of reading(lines.join('\r\n'))) {
      expect([how, head]).toEqual([
        how,
        { status: 429, headers: { 'retry-after': '3', a: 'x, y', b: 'one two' } },
      ]);
    }
  });

  it('reads a long head, in whatever pieces', () => {
    const value = 'x'.repeat(15_000);
    for (const how of reading(`HTTP/1.1 200 OK\r\na: ${value}\r\n\r\n`)) {
      expect([how, head?.headers.a]).toEqual([how, value]);
    }
  });

  it('takes names that objects have by themselves for names', () => {
    const lines = ['HTTP/1.1 200 OK', '__proto__: a', 'constructor: b', 'toString: c', '', ''];
    for (const how of reading(lines.join('\r\n'))) {
      expect([how, head?.headers.constructor, head?.headers.tostring]).toEqual([how, 'b', 'c']);
      expect(head?.headers.__proto__).toBe('a');
    }
  });

  it.each([
    ['no response', 'SSH-2.0-Server\r\n'],
    ['another version', 'HTTP/2 200 OK\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n'],
    ['a header without a name', 'HTTP/1.1 200 OK\r\n: a\r\n'],
    ['a carriage return in a header', 'HTTP/1.1 200 OK\r\na: b\rc: d\r\n'],
    ['a header without a colon', 'HTTP/1.1 200 OK\r\nabc\r\n'],
    ['a first header that goes on', 'HTTP/1.1 200 OK\r\n a: b\r\n'],
    ['lengths that differ', 'HTTP/1.1 200 OK\r\ncontent-length: 5, 6\r\n\r\n'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n'],
    ['a length of no size', 'HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n'],
    ['a body coded once more', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n'],
    ['chunks in chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n'],
    ['another coding than chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n'],
    ['a chunk without a size', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n'],
    ['a size that is none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5x\r\n'],
    [
      'a size without end',
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${'f'.repeat(20)}\r\n`,
    ],
    [
      'a chunk of another size',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n',
    ],
    ['a head without end', `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(10_000)}`],
    ['empty lines without end', '\n'.repeat(20_000)],
    ['a line without end', 'x'.repeat(20_000)],
    [
      'an extension without end',
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;${'a'.repeat(20_000)}`,
    ],
    [
      'trailers without end',
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n${'a: b\r\n'.repeat(10_000)}`,
    ],
    ['empty responses without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(10_000)],
  ])('refuses %s', (_, response) => {
    const bytes = Buffer.from(response);
    expect(() => sut.push(bytes)).toThrow(MalformedResponse);
    start();
    expect(() => {
      for (const byte of bytes) sut.push(Buffer.of(byte));
    }).toThrow(MalformedResponse);
  });

  it.each([
    ['a head', 'HTTP/1.1 200 OK\r\ncontent'],
    ['a body', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell'],
    ['chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['trailers', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n'],
  ])('tells %s that the end of the connection cuts', (_, response) => {
    sut.push(Buffer.from(response));
    expect([sut.end(), sut.isOver]).toEqual([false, false]);
  });
});
