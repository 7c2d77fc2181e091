import { expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { startInstance } from '../support/instances.js';

it('a server whose port is taken says so in a line', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const sut = await startInstance({ PORT: port, HOST: '127.0.0.1' });
  const [code] = (await once(sut.process, 'close')) as [number];
  expect(code).toBe(1);
  expect(sut.output()).toMatch(`\nlisten EADDRINUSE: address already in use 127.0.0.1:${port}\n`);
  expect(sut.output()).not.toMatch(/^ +at /m);
  other.close();
}, 120_000);
