import { describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { Response } from 'express';
import { once } from 'node:events';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { of } from 'rxjs';
import type { WrittenDialect } from './dialects/dialect.js';
import { writeResponse } from './response.writer.js';
import type { Viewer } from './viewer.js';

describe(writeResponse.name, () => {
  it('ends its response alone when an entry cannot be encoded', async () => {
    Logger.overrideLogger(false);
    const dialect: WrittenDialect = {
      headers: {},
      onFailure: 'tell',
      open: () => ({
        heartbeat: '',
        encode: () => {
          throw new RangeError('Maximum call stack size exceeded');
        },
      }),
    };
    const entry = { seq: 1, type: 'message', data: { content: 'hi' } };
    const viewer = {
      run: { log: { entries: [entry] } },
      batches: of([entry]),
      framesSeen: () => 0,
    };
    const server = createServer((_request, response) => {
      const express = Object.assign(response, {
        status: () => express,
        set: () => express,
      }) as unknown as Response;
      writeResponse(viewer as unknown as Viewer, dialect, express);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expect(once(get({ port }), 'response')).rejects.toMatchObject({ code: 'ECONNRESET' });
    server.close();
  });
});
