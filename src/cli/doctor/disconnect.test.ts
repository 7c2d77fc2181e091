import { expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from '../server.js';
import { disconnectFinding } from './disconnect.js';

it('says nothing of disconnects when nobody can be asked after them', async () => {
  let hasLeft = false;
  const server = createServer((request, response) => {
    if (request.url!.includes('/doctor/stream')) {
      response.writeHead(200).write('data: {"n":0,"at":0}\n\n');
      response.once('close', () => (hasLeft = true));
    } else if (hasLeft) {
      response.writeHead(503).end();
    } else {
      response.end('{"age_ms":1,"closed_after_ms":null}');
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { verdict, measured } = await disconnectFinding(new Server(`127.0.0.1:${port}`));
  expect(verdict).toBe('warning');
  expect(measured).toEqual({ flowing_ms: 'unknown', silent_ms: 'unknown' });
  server.close();
});
