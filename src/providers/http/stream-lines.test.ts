import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { lastValueFrom, toArray, type Subscriber, type Subscription } from 'rxjs';
import type { Frame } from '../chat-provider.js';
import { chunkParser } from '../openai/chunk.parser.js';
import { streamLines } from './stream-lines.js';

describe(streamLines.name, () => {
  let server: Server;
  let body: string;

  beforeEach(async () => {
    server = createServer((_request, response) => response.end(body)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    server.close();
  });

  const open = (demand: Subscription) =>
    new Promise<IncomingMessage>((resolve) => {
      const sent = request({ port: (server.address() as AddressInfo).port }, resolve).end();
      demand.add(() => sent.destroy());
    });
  const frames = (text: string, maxLineLength = 1_000) => {
    body = text;
    const parser = (subscriber: Subscriber<Frame>) => chunkParser(subscriber, maxLineLength);
    return lastValueFrom(streamLines(open, parser, maxLineLength).pipe(toArray()));
  };

  it('reads a last line without an end, as some servers send it', async () => {
    expect(await frames('data: {"id":"a"}\n\ndata: [DONE]')).toHaveLength(1);
    expect(await frames('data: {"id":"a"}\n\ndata: {"id":"b"}')).toHaveLength(2);
    expect(await frames('data: {"id":"a"}\n\ndata: {"id":"b"}\n')).toHaveLength(2);
    await expect(frames('data: {"error":"full"}')).rejects.toMatchObject({
      code: 'provider_error',
      message: 'full',
    });
  });

  it('tells a last line that was cut', async () => {
    await expect(frames('data: {"id":"a"}\n\ndata: {"id":"')).rejects.toMatchObject({
      code: 'provider_truncated',
    });
  });

  it('gives up a line that is too long, at once', async () => {
    await expect(frames(`data: ${'x'.repeat(100)}`, 99)).rejects.toMatchObject({
      code: 'provider_malformed',
    });
  });
});
