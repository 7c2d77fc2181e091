import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { closed, sendHead } from '../support/connection.js';

const MAX_BODY_BYTES = 1000;
const JSON_TYPE = 'Content-Type: application/json';
const EXPECT = 'Expect: 100-continue';
const CHUNKED = 'Transfer-Encoding: chunked';
const BODY = '{"model":"demo/echo","messages":[{"role":"user","content":"hi"}]}';

let server: RunningApp;

beforeAll(async () => {
  server = await startApp({ DEMO: 'on', MAX_BODY_BYTES });
});
afterAll(() => server.close());

const post = (...lines: string[]) =>
  sendHead(server.port, 'POST /v1/chat/completions HTTP/1.1', 'Host: localhost', ...lines);

describe('a body that is too large', () => {
  it('is refused before any of it has come where its length is declared', async () => {
    const call = await post(JSON_TYPE, `Content-Length: ${MAX_BODY_BYTES + 1}`);
    await call.until(`The body is longer than ${MAX_BODY_BYTES} bytes.`);
    expect(call.received()).toMatch(/^HTTP\/1\.1 413 /);
    expect(call.received()).toMatch(/\r\nConnection: close\r\n/);
    await call.ended();
  });

  it.each([
    ['in chunks', JSON_TYPE],
    ['in chunks and compressed', `${JSON_TYPE}\r\nContent-Encoding: gzip`],
    ['in chunks and an unknown charset', `${JSON_TYPE}; charset=utf-0`],
  ])('is cut off when it does not end: %s', async (_, lines) => {
    const call = await post(lines, CHUNKED);
    const sending = setInterval(() => call.socket.write('64\r\n' + 'x'.repeat(100) + '\r\n'), 20);
    await closed(call.socket);
    clearInterval(sending);
    expect(call.received()).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(call.received()).toMatch(/\r\nConnection: close\r\n/);
    expect(call.received().match(/HTTP\/1\.1/g)).toHaveLength(1);
  });
});

it('a body that is not packed as it says is refused in words', async () => {
  const call = await post(JSON_TYPE, 'Content-Encoding: gzip', `Content-Length: ${BODY.length}`);
  call.socket.write(BODY);
  await call.until('The body is not packed as its Content-Encoding says.');
  expect(call.received()).toMatch(/^HTTP\/1\.1 400 /);
  call.socket.destroy();
});

describe('who asks whether to send a body', () => {
  it.each([
    ['too large', JSON_TYPE, 1001, 413],
    ['not declared as JSON', 'Content-Type: text/plain', 10, 415],
  ])('is refused, and not told to go on, when it is %s', async (_, type, length, status) => {
    const call = await post(type, `Content-Length: ${length}`, EXPECT);
    await call.ended();
    expect(call.received()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it('is not told to go on over HTTP/1.0, which knows no such answer', async () => {
    const head = ['POST /v1/chat/completions HTTP/1.0', 'Host: localhost', JSON_TYPE, EXPECT];
    const call = await sendHead(server.port, ...head, `Content-Length: ${BODY.length}`);
    call.socket.write(BODY);
    await call.until('chat.completion');
    expect(call.received()).toMatch(/^HTTP\/1\.1 200 /);
    call.socket.destroy();
  });
});

it('a body of no more than the limit may come in chunks', async () => {
  const call = await post(JSON_TYPE, CHUNKED);
  const padded = BODY.padEnd(MAX_BODY_BYTES);
  for (const half of [padded.slice(0, 500), padded.slice(500)]) {
    call.socket.write(`${half.length.toString(16)}\r\n${half}\r\n`);
  }
  call.socket.write('0\r\n\r\n');
  await call.until('chat.completion');
  expect(call.received()).toMatch(/\r\nConnection: keep-alive\r\n/);
  call.socket.destroy();
});
