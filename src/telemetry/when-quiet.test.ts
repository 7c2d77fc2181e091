import { describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { whenQuiet } from './when-quiet.js';

/** Connections that all have something to read at a time. */
const SOCKETS = 5;

describe('whenQuiet', () => {
  it('tells when all that has come is read', async () => {
    const happened: string[] = [];
    const over = new Promise<void>((resolve) => {
      const server = createServer((socket) => {
        socket.on('data', (data) => {
          happened.push(data.toString());
          whenQuiet(() => {
            happened.push('told');
            if (happened.length < 2 * SOCKETS) return;
            server.close();
            resolve();
          });
        });
        socket.on('end', () => socket.end());
      }).listen(0, '127.0.0.1', () => void send((server.address() as AddressInfo).port));
    });
    const send = async (port: number) => {
      const sockets: Socket[] = [];
      for (let count = 0; count < SOCKETS; count += 1) {
        const socket = connect(port, '127.0.0.1');
        await once(socket, 'connect');
        sockets.push(socket);
      }
      // All connections are taken by now, and all of this is there when they are read next.
      setTimeout(() => {
        for (const socket of sockets) socket.end('read');
      }, 50);
    };
    await over;
    const all = (what: string) => Array.from({ length: SOCKETS }, () => what);
    expect(happened).toEqual([...all('read'), ...all('told')]);
  });

  it('logs what fails, and goes on', async () => {
    const error = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const failure = new Error('full');
    whenQuiet(() => {
      throw failure;
    });
    await new Promise<void>((resolve) => whenQuiet(resolve));
    expect(error).toHaveBeenCalledWith(failure);
    error.mockRestore();
  });
});
