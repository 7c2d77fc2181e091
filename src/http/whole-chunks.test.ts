import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { writeWholeChunk } from './whole-chunks.js';

describe(writeWholeChunk.name, () => {
  /** All that a client gets, to the byte. */
  async function answer(respond: (response: ServerResponse) => void, version = '1.1') {
    const server = createServer((_request, response) => {
      response.sendDate = false;
      respond(response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write(`GET / HTTP/${version}\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const bytes = await text(socket);
    server.close();
    return bytes;
  }

  it.each([
    ['with headers sent before', true, '1.1'],
    ['with headers sent by the first write', false, '1.1'],
    ['without chunks, to a client of HTTP/1.0', true, '1.0'],
  ])('changes no byte %s', async (_name, flushes, version) => {
    const write = (response: ServerResponse) => {
      if (flushes) response.flushHeaders();
      response.write('data: a\n\n');
      response.write('');
      response.write('や'.repeat(1_000));
      response.write(Buffer.from('bytes'));
      response.write('😀\ud83d\r\n');
      response.end();
    };
    const plain = await answer(write, version);
    const whole = await answer((response) => {
      response.write = writeWholeChunk;
      write(response);
    }, version);
    expect(whole).toBe(plain);
    expect(whole).toContain('data: a');
  });

  it('leaves the last chunk out of an answer that breaks off', async () => {
    const whole = await answer((response) => {
      response.write = writeWholeChunk;
      response.flushHeaders();
      response.write('half');
      response.socket?.destroySoon();
    });
    expect(whole.endsWith('\r\n4\r\nhalf\r\n')).toBe(true);
  });
});
