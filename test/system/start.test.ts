import { expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { startInstance } from '../support/instances.js';

it.each([
  [
    'whose port is taken',
    '127.0.0.1',
    (port: number) => `\nlisten EADDRINUSE: address already in use 127.0.0.1:${port}\n`,
  ],
  [
    'whose HOST is nobody',
    'nobody.invalid',
    () => /^HOST: expected an address .* \(getaddrinfo .*nobody\.invalid\)$/m,
  ],
])(
  'a server %s says so in a line',
  async (_, HOST, said) => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const sut = await startInstance({ PORT: port, HOST, AUTH: 'off' });
    const [code] = (await once(sut.process, 'close')) as [number];
    expect(code).toBe(1);
    expect(sut.output()).toMatch(said(port));
    expect(sut.output()).not.toMatch(/^ +at /m);
    other.close();
  },
  120_000,
);
