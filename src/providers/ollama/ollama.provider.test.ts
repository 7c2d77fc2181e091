import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { firstValueFrom, lastValueFrom, toArray } from 'rxjs';
import type { ChatError } from '../../errors/chat-error.js';
import { HttpClient } from '../http/http-client.js';
import { OllamaProvider } from './ollama.provider.js';

const OPTIONS = { connectMs: 5_000 };
const REQUEST = { messages: [{ role: 'user' as const, content: 'やっほ' }] };
const LINE = '{"message":{"role":"assistant","content":"や"},"done":false}\n';
const DONE = '{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":1}\n';

describe(OllamaProvider.name, () => {
  let server: Server;
  let sockets: Socket[];
  let http: HttpClient;
  let sut: OllamaProvider;
  let answer: RequestListener;

  /** Answers with a stream's headers and the lines, and leaves the body open. */
  const stream = (response: ServerResponse, ...lines: string[]) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    for (const line of lines) response.write(line);
  };
  const chunks = () => lastValueFrom(sut.stream('llama3.2', REQUEST, OPTIONS).pipe(toArray()));
  const failure = () =>
    chunks().then(
      () => {
        throw new Error('the stream completed');
      },
      (error: unknown) => error as ChatError,
    );

  beforeEach(async () => {
    sockets = [];
    server = createServer((request, response) => answer(request, response));
    server.on('connection', (socket) => sockets.push(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const baseUrl = `http://127.0.0.1:${port}/v1/`;
    http = new HttpClient();
    sut = new OllamaProvider(
      'ollama',
      { type: 'ollama', baseUrl, models: ['llama3.2'] },
      http,
      2 ** 20,
    );
  });

  afterEach(async () => {
    http.onApplicationShutdown();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  it('posts to /api/chat and streams what comes back', async () => {
    let asked: unknown;
    answer = (request, response) => {
      void (async () => {
        const body = (await request.toArray()).join('');
        asked = [request.method, request.url, JSON.parse(body)];
        stream(response, LINE, DONE);
        response.end();
      })();
    };
    const frames = await chunks();
    expect(asked).toEqual([
      'POST',
      '/api/chat',
      { model: 'llama3.2', stream: true, messages: REQUEST.messages, options: {} },
    ]);
    expect(frames.map(({ chunk }) => chunk.choices?.[0]?.delta)).toEqual([
      { role: 'assistant', content: '' },
      { content: 'や' },
      {},
      undefined,
    ]);
  });

  it('opens nothing before somebody subscribes', async () => {
    answer = (_, response) => response.end();
    sut.stream('llama3.2', REQUEST, OPTIONS);
    await new Promise(setImmediate);
    expect(sockets).toHaveLength(0);
  });

  it.each([
    ['before the headers', () => undefined],
    ['before the first line', (response: ServerResponse) => stream(response)],
    ['in mid-stream', (response: ServerResponse) => stream(response, LINE)],
  ])('closes the socket when unsubscribed %s', async (_, act) => {
    const asked = new Promise<ServerResponse>((resolve) => {
      answer = (_request, response) => {
        act(response);
        resolve(response);
      };
    });
    const subscription = sut.stream('llama3.2', REQUEST, OPTIONS).subscribe();
    const response = await asked;
    const closed = once(response, 'close');
    subscription.unsubscribe();
    await closed;
    expect(response.writableFinished).toBe(false);
  });

  it('closes the socket when the stream fails', async () => {
    const closed = new Promise((resolve) => {
      answer = (_, response) => {
        response.on('close', resolve);
        stream(response, LINE, 'no JSON\n');
      };
    });
    expect((await failure()).code).toBe('provider_malformed');
    await closed;
  });

  it('keeps the connection for the next request', async () => {
    answer = (_, response) => {
      stream(response, LINE, DONE);
      response.end();
    };
    for (let turn = 0; turn < 3; turn += 1) {
      await chunks();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(sockets).toHaveLength(1);
  });

  it('survives that somebody leaves when all has come but is not yet read', async () => {
    answer = (_, response) => response.end(LINE + DONE);
    await firstValueFrom(sut.stream('llama3.2', REQUEST, OPTIONS));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await chunks()).toHaveLength(4);
    expect(sockets).toHaveLength(1);
  });

  it('reports an error line with what it says', async () => {
    answer = (_, response) => {
      stream(response, LINE, '{"error":"out of memory"}\n');
      response.end();
    };
    expect(await failure()).toMatchObject({ code: 'provider_error', message: 'out of memory' });
  });

  it('reports a line that was cut', async () => {
    answer = (_, response) => {
      stream(response, LINE, '{"message":{"con');
      response.end();
    };
    expect((await failure()).code).toBe('provider_truncated');
  });

  it('reports a connection that was cut', async () => {
    answer = (_, response) => {
      stream(response, LINE);
      setImmediate(() => response.destroy());
    };
    expect((await failure()).code).toBe('provider_truncated');
  });

  it('completes without a finish reason where the body ends before done', async () => {
    answer = (_, response) => {
      stream(response, LINE);
      response.end();
    };
    const frames = await chunks();
    expect(frames.at(-1)!.chunk.choices).toEqual([
      { index: 0, delta: { content: 'や' }, finish_reason: null },
    ]);
  });

  it("keeps the status and the words of Ollama's refusal", async () => {
    answer = (_, response) => {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"error":"model \'llama9\' not found"}');
    };
    expect(await failure()).toMatchObject({
      code: 'provider_rejected',
      status: 404,
      message: "model 'llama9' not found",
    });
  });

  it('gives a refusal that is no JSON a message of its own', async () => {
    answer = (_, response) => response.writeHead(400).end('<html>');
    expect((await failure()).message).toBe('The provider refused the request with status 400.');
  });

  it('takes a stream without a content type, and refuses another type', async () => {
    answer = (_, response) => response.end(LINE + DONE);
    expect(await chunks()).toHaveLength(4);

    answer = (_, response) => response.setHeader('content-type', 'text/html').end('<html>');
    expect((await failure()).code).toBe('provider_unavailable');
  });

  it('refuses what Ollama cannot take before it opens anything', async () => {
    const refused = firstValueFrom(sut.stream('llama3.2', { ...REQUEST, n: 2 }, OPTIONS));
    await expect(refused).rejects.toMatchObject({ code: 'invalid_request' });
    expect(sockets).toHaveLength(0);
  });
});
