import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { closed, sendHead } from '../support/connection.js';
import { open } from '../support/http.js';
import { answerOf } from '../support/runs.js';

const MEBIBYTE = 2 ** 20;
const PATH = '/v1/chat/completions';
const KEY = { authorization: 'Bearer sk-alice' };
const JSON_TYPE = { 'content-type': 'application/json' };

let server: RunningApp;

beforeAll(async () => {
  server = await startApp({ API_KEYS: 'alice:sk-alice', DEMO: 'on' });
});
afterAll(() => server.close());

const connected = (...lines: string[]) =>
  sendHead(server.port, `POST ${PATH} HTTP/1.1`, 'Host: sluice.example', ...lines);

describe('a request without a key', () => {
  it.each([
    ['what is no JSON', JSON_TYPE, '{"messages": '],
    ['what is not declared as JSON', { 'content-type': 'text/plain' }, 'hello'],
    ['a request that is not valid', JSON_TYPE, '{"messages": 1}'],
    ['a body that is too large', JSON_TYPE, Buffer.alloc(21 * MEBIBYTE, 32)],
  ])('is refused for that alone, whatever it sends: %s', async (_, headers, body) => {
    const { status } = await answerOf(open({ port: server.port, path: PATH, headers, body }));
    expect(status).toBe(401);
  });

  it('is answered before its body has come, and the connection ends with the answer', async () => {
    const call = await connected('Content-Type: application/json', 'Content-Length: 20000000');
    call.socket.write('{"messages":[');
    await call.until('invalid_api_key');
    expect(call.received()).toMatch(/^HTTP\/1\.1 401 /);
    expect(call.received()).toMatch(/\r\nConnection: close\r\n/);
    await call.ended();
  });

  it('gets its whole answer, also when it reads nothing until it has sent all', async () => {
    const call = await connected('Content-Type: application/json', 'Content-Length: 15000000');
    call.socket.pause();
    const sent = new Promise((resolve) => call.socket.write(Buffer.alloc(15_000_000, 32), resolve));
    expect(await sent).toBeFalsy();
    call.socket.resume();
    await call.until('invalid_api_key');
    call.socket.end();
    await closed(call.socket);
  });

  it('is cut off when it does not stop sending', async () => {
    const call = await connected('Content-Type: application/json', 'Transfer-Encoding: chunked');
    const sending = setInterval(() => call.socket.write('1\r\n \r\n'), 20);
    await call.until('invalid_api_key');
    await closed(call.socket);
    clearInterval(sending);
  });

  it('keeps its connection where it has no body', async () => {
    const call = await connected('Content-Length: 0');
    await call.until('invalid_api_key');
    expect(call.received()).toMatch(/\r\nConnection: keep-alive\r\n/);
    call.socket.destroy();
  });
});

describe('who asks whether to send a body', () => {
  const lines = ['Content-Type: application/json', 'Expect: 100-continue'];
  const body = '{"model":"demo","messages":[{"role":"user","content":"hi"}]}';

  it('need not, without a key', async () => {
    const call = await connected(...lines, 'Content-Length: 20000000');
    await call.until('invalid_api_key');
    expect(call.received()).toMatch(/^HTTP\/1\.1 401 /);
    call.socket.destroy();
  });

  it('is told to go on, with a key', async () => {
    const call = await connected(...lines, `Content-Length: ${body.length}`, 'api-key: sk-alice');
    await call.until('HTTP/1.1 100 Continue\r\n\r\n');
    call.socket.write(body);
    await call.until('chat.completion');
    expect(call.received()).toContain('HTTP/1.1 200 OK');
    call.socket.destroy();
  });
});

it('takes what it was let in with out of the request', async () => {
  let seen: unknown;
  server.app.getHttpServer().once('request', (request) => {
    setImmediate(() => (seen = { ...request.headers, raw: request.rawHeaders }));
  });
  const headers = { ...KEY, 'api-key': 'sk-alice', 'X-Api-Key': 'sk-alice', 'x-other': 'other' };
  expect((await answerOf(open({ port: server.port, path: '/v1/models', headers }))).status).toBe(
    200,
  );
  expect(JSON.stringify(seen)).toContain('other');
  expect(JSON.stringify(seen)).not.toContain('sk-alice');
});
