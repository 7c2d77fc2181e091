import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { lastValueFrom, toArray, type Subscriber, type Subscription } from 'rxjs';
import type { Frame } from '../chat-provider.js';
import { chunkParser } from '../openai/chunk.parser.js';
import { HttpClient } from './http-client.js';
import { streamLines } from './stream-lines.js';

describe(streamLines.name, () => {
  let server: Server;
  let answer: (response: ServerResponse) => unknown;
  let http: HttpClient;

  beforeEach(async () => {
    http = new HttpClient();
    server = createServer((_request, response) => answer(response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    http.onApplicationShutdown();
    server.close();
  });

  const open = (demand: Subscription) => {
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return http.request(url, { method: 'GET', headers: {}, demand, connectMs: 1_000 });
  };
  const read = (maxLineLength = 1_000) => {
    const parser = (subscriber: Subscriber<Frame>) => chunkParser(subscriber, maxLineLength);
    return lastValueFrom(streamLines(open, parser, maxLineLength).pipe(toArray()));
  };
  const frames = (body: string, maxLineLength?: number) => {
    answer = (response) => response.end(body);
    return read(maxLineLength);
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

  it('reads what comes along with the headers, and then what comes alone, in order', async () => {
    answer = async (response) => {
      response.socket!.cork();
      response.write('data: {"id":"1"}\n\ndata: {"id":');
      response.write('"2"}\n\n');
      response.socket!.uncork();
      for (const id of [3, 4]) {
        await sleep(10);
        response.write(`data: {"id":"${id}"}\n\n`);
      }
      response.end('data: [DONE]\n\n');
    };
    expect((await read()).map(({ chunk }) => chunk.id)).toEqual(['1', '2', '3', '4']);
  });

  it('has no more to do with an answer that goes on after its end than 64 kB', async () => {
    let written = 0;
    const closed = new Promise<void>((resolve) => {
      answer = (response) => {
        response.write('data: {"id":"a"}\n\ndata: [DONE]\n\n');
        const writing = setInterval(() => {
          written += 10_000;
          response.write('x'.repeat(10_000));
        }, 10);
        response.once('close', () => {
          clearInterval(writing);
          resolve();
        });
      };
    });
    expect(await read()).toHaveLength(1);
    await closed;
    // Sooner than by the time that it gets to end its body, in which it would write 1 MB.
    expect(written).toBeLessThan(500_000);
  });
});
