import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { connect } from 'node:net';
import { text as read } from 'node:stream/consumers';
import { startApp, type RunningApp } from '../support/app.js';
import { open, type OpenOptions } from '../support/http.js';
import { parseSse } from '../support/sse.js';
import { TEXT, startUpstream, type Upstream } from '../support/upstream/index.js';

const messages = [{ role: 'user', content: 'hi' }];
const body = { model: 'text', messages };

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, DEMO: 'on' });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await upstream.close();
});

async function send(options: Omit<OpenOptions, 'port'>) {
  const call = open({ port: server.port, path: '/v1/chat/stream', ...options });
  const ended = await call.ended;
  return { status: await call.status, headers: await call.headers, text: call.text(), ended };
}

async function expectRefusal(
  options: Omit<OpenOptions, 'port'>,
  status: number,
  error: { message?: unknown; param?: string | null } = {},
) {
  const answer = await send(options);
  expect(answer.status).toBe(status);
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
  expect(answer.headers['x-should-retry']).toBe('false');
  expect(JSON.parse(answer.text)).toEqual({
    error: {
      message: expect.stringMatching(/./),
      type: 'invalid_request_error',
      param: null,
      code: 'invalid_request',
      ...error,
    },
  });
  expect(upstream.requests).toEqual([]);
}

const POSTS = ['/v1/chat/stream', '/v1/chat/stream?format=plain', '/v1/chat/completions'];

describe.each(POSTS)('a body at POST %s', (path) => {
  const json = { 'content-type': 'application/json' };

  it('that is nested too deeply is refused with 400', () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const text = `{"messages":[{"role":"user","content":"hi"}],"tools":${deep}}`;
    const headers = { ...json, 'idempotency-key': 'deep' };
    return expectRefusal({ path, headers, body: text }, 400);
  });

  it.each(['{', '{"messages":', 'hi', '{"messages":[]}}'])(
    'that is no JSON is refused with 400 (%s)',
    (text) =>
      expectRefusal({ path, headers: json, body: text }, 400, {
        message: 'The body is not valid JSON.',
      }),
  );

  it.each(['null', '1', '"hi"', '[]', ''])('that is no object is refused with 400 (%s)', (text) =>
    expectRefusal({ path, headers: json, body: text }, 400, {
      message: 'The body must be a JSON object.',
    }),
  );

  it('that is not UTF-8 is refused with 400', () => {
    const text = Buffer.from(
      JSON.stringify({ model: 'text', messages: [{ role: 'user', content: 'é' }] }),
      'latin1',
    );
    return expectRefusal({ path, headers: json, body: text }, 400, {
      message: 'Bad Request: the body is not UTF-8',
    });
  });

  it('may be in UTF-16 where it says so', async () => {
    const headers = { 'content-type': 'application/json; charset=utf-16le' };
    const text = Buffer.from(JSON.stringify(body), 'utf16le');
    expect((await send({ path, headers, body: text })).status).toBe(200);
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
  ])('of type %s is refused with 415', (type) =>
    expectRefusal({ path, headers: { 'content-type': type }, body: JSON.stringify(body) }, 415, {
      message: 'The body must be JSON, with Content-Type: application/json.',
    }),
  );

  it('without a type is refused with 415', () =>
    expectRefusal({ path, body: JSON.stringify(body) }, 415));

  it('that is absent is refused with 400', () => expectRefusal({ path, method: 'POST' }, 400));

  it.each<[object, string | null]>([
    [{}, 'messages'],
    [[], null],
    [{ messages: [] }, 'messages'],
    [{ messages: null }, 'messages'],
    [{ messages: 'hi' }, 'messages'],
    [{ messages: {} }, 'messages'],
    [{ messages: ['hi'] }, 'messages.0'],
    [{ messages: [null] }, 'messages.0'],
    [{ messages: [{ content: 'hi' }] }, 'messages.0.role'],
    [{ messages: [{ role: 'robot', content: 'hi' }] }, 'messages.0.role'],
    [{ messages: [{ role: 'user', content: 1 }] }, 'messages.0.content'],
    [{ messages: [...messages, { role: 'user', content: {} }] }, 'messages.1.content'],
    [{ messages: [{ role: 'user', content: ['hi'] }] }, 'messages.0.content'],
    [{ messages: Array.from({ length: 10_001 }, () => messages[0]) }, 'messages'],
    [{ ...body, model: 1 }, 'model'],
    [{ ...body, model: '' }, 'model'],
    [{ ...body, model: 'a\nb' }, 'model'],
    [{ ...body, model: 'm'.repeat(257) }, 'model'],
    [{ ...body, n: 0 }, 'n'],
    [{ ...body, n: 1.5 }, 'n'],
    [{ ...body, n: 129 }, 'n'],
    [{ ...body, n: '2' }, 'n'],
    [{ ...body, stream: 'yes' }, 'stream'],
    [{ ...body, stream_options: true }, 'stream_options'],
    [{ ...body, stream_options: { include_usage: 1 } }, 'stream_options.include_usage'],
  ])('that is wrong is refused with its place: %.80j at %j', (wrong, param) =>
    expectRefusal({ path, body: wrong }, 400, { param }),
  );

  it('may be JSON with a charset, in any script, and null where OpenAI allows it', async () => {
    const { status } = await send({
      path,
      headers: { 'content-type': 'Application/JSON; charset=utf-8' },
      body: JSON.stringify({
        model: 'text',
        messages: [{ role: 'assistant', content: null, tool_calls: [] }, ...messages],
        n: null,
        stream: null,
        stream_options: null,
      }),
    });
    expect(status).toBe(200);
  });
});

describe('a question at GET /v1/chat/stream', () => {
  it.each(['/v1/chat/stream', '/v1/chat/stream?q=', '/v1/chat/stream?q=a&q=b'])(
    'that is not there is refused (%s)',
    (path) => expectRefusal({ path }, 400, { param: 'q' }),
  );

  it('that is only asked about with HEAD starts nothing', async () => {
    const { status, text } = await send({
      method: 'HEAD',
      path: '/v1/chat/stream?q=hi&model=text',
    });
    expect({ status, text }).toEqual({ status: 405, text: '' });
    // A run that had been started would have come by now.
    await send({ path: '/v1/chat/stream?q=after&model=text' });
    expect(upstream.requests.map((request) => request.body.messages?.[0]?.content)).toEqual([
      'after',
    ]);
  });
});

it.each([
  ['/v1/chat/stream', 'GET, POST'],
  ['/v1/runs/run_1/events', 'GET'],
  ['/v1/chat/ui/chat/stream', 'GET'],
  ['/api/chat/chat/stream', 'GET'],
  ['/v1/doctor/stream', 'GET'],
])('%s has no HEAD, and says what it has', async (path, allowed) => {
  const { status, headers } = await send({ method: 'HEAD', path });
  expect(status).toBe(405);
  expect(headers.allow).toBe(allowed);
});

describe('a route that does not exist', () => {
  it.each([
    ['GET', '/v1/nothing'],
    ['GET', '/v1/chat/completions'],
    ['PUT', '/v1/chat/stream'],
    ['DELETE', '/v1/chat/completions'],
    ['GET', '/v2'],
    ['POST', '/V1/chat/stream'],
  ])("is answered in OpenAI's shape: %s %s", (method, path) =>
    expectRefusal({ method, path }, 404, { message: 'There is no such route.' }),
  );
});

describe('the format', () => {
  it.each(['xml', 'JSON', '', 'constructor', '__proto__'])(
    'is refused where it is not known (%j)',
    async (format) => {
      await expectRefusal({ path: `/v1/chat/stream?format=${format}`, body }, 400, {
        param: 'format',
      });
      await expectRefusal({ path: `/v1/chat/stream?q=hi&format=${format}` }, 400, {
        param: 'format',
      });
    },
  );

  it.each([
    // What the request accepts, and what it gets.
    [undefined, 'text/event-stream'],
    ['*/*', 'text/event-stream'],
    ['text/event-stream', 'text/event-stream'],
    ['text/plain', 'text/plain; charset=utf-8'],
    ['Text/Plain', 'text/plain; charset=utf-8'],
    ['text/plain, */*', 'text/event-stream'],
    // axios sends this to every server.
    ['application/json, text/plain, */*', 'text/event-stream'],
  ])('for Accept: %s is %s', async (accept, type) => {
    const headers: Record<string, string> = accept === undefined ? {} : { accept };
    for (const options of [{ body }, { path: '/v1/chat/stream?q=hi&model=text' }]) {
      const answer = await send({ ...options, headers });
      expect(answer.headers['content-type']).toBe(type);
      if (type.startsWith('text/plain')) expect(answer.text).toBe(TEXT);
      else expect(parseSse(answer.text).events[0]?.event).toBe('start');
    }
  });

  it('in the query goes before Accept', async () => {
    const headers = { accept: 'text/plain' };
    const { text } = await send({ path: '/v1/chat/stream?format=json', headers, body });
    expect(parseSse(text).events[0]?.event).toBe('start');
  });

  it.each(['json', 'text', 'plain'])('%s shows one answer and refuses n: 2', (format) =>
    expectRefusal(
      { path: `/v1/chat/stream?format=${format}`, body: { ...body, model: 'choices-2', n: 2 } },
      400,
      { param: 'n', message: `The format ${format} shows one answer: n must be 1.` },
    ),
  );

  it('openai shows all of them', async () => {
    const { text } = await send({
      path: '/v1/chat/stream?format=openai',
      body: { ...body, model: 'choices-2', n: 2 },
    });
    const data = parseSse(text).events.map((event) => event.data);
    expect(data.pop()).toBe('[DONE]');
    const answers = ['', ''];
    const reasons: unknown[] = [];
    for (const json of data) {
      const { choices } = JSON.parse(json) as {
        choices: { index: number; delta: { content?: string }; finish_reason: unknown }[];
      };
      for (const { index, delta, finish_reason } of choices) {
        answers[index] = `${answers[index] ?? ''}${delta.content ?? ''}`;
        if (finish_reason !== null) reasons.push([index, finish_reason]);
      }
    }
    expect(answers).toEqual([TEXT, TEXT.toUpperCase()]);
    expect(reasons.sort()).toEqual([
      [0, 'stop'],
      [1, 'stop'],
    ]);
  });
});

describe('the headers of a stream', () => {
  it.each([
    ['/v1/chat/stream', {}, 'text/event-stream'],
    ['/v1/chat/stream?format=text', {}, 'text/event-stream'],
    ['/v1/chat/stream?format=plain', {}, 'text/plain; charset=utf-8'],
    ['/v1/chat/stream?format=openai', {}, 'text/event-stream; charset=utf-8'],
    ['/v1/chat/completions', { stream: true }, 'text/event-stream; charset=utf-8'],
  ])('at %s keep proxies and caches from holding it back', async (path, extra, type) => {
    const { status, headers, ended } = await send({
      path,
      headers: { 'accept-encoding': 'gzip, br' },
      body: { ...body, ...extra },
    });

    expect({ status, ended }).toEqual({ status: 200, ended: 'complete' });
    expect(headers['content-type']).toBe(type);
    expect(headers['cache-control']?.split(', ')).toEqual(
      expect.arrayContaining(['no-cache', 'no-transform']),
    );
    expect(headers['x-accel-buffering']).toBe('no');
    expect(headers['content-encoding']).toBeUndefined();
    expect(headers['content-length']).toBeUndefined();
    expect(headers['sluice-run-id']).toMatch(/^run_\w+$/);
    expect(headers['x-request-id']).toMatch(/./);
    expect(headers['x-powered-by']).toBeUndefined();
  });

  it('name the run of its events', async () => {
    const { headers, text } = await send({ body });
    const [start] = parseSse(text).events;
    expect(start?.id).toBe(`${String(headers['sluice-run-id'])}:1`);
  });
});

describe('X-Request-Id', () => {
  const ROUTES = [{ body }, { path: '/v1/nothing' }, { path: '/health' }, { body: {} }];

  it.each(['abc-123', 'a:b.c_d', 'x'.repeat(128)])('is taken over (%s)', async (id) => {
    for (const route of ROUTES) {
      const { headers } = await send({ ...route, headers: { 'x-request-id': id } });
      expect(headers['x-request-id']).toBe(id);
    }
  });

  it.each(['', 'a b', 'ä', '<script>', 'x'.repeat(129)])(
    'is replaced where it is not well-formed (%j)',
    async (id) => {
      const given = Buffer.from(id).toString('latin1');
      for (const route of ROUTES) {
        const { headers } = await send({ ...route, headers: { 'x-request-id': given } });
        expect(headers['x-request-id']).toMatch(/^[\da-f-]{36}$/);
      }
    },
  );

  it('is new for every request without one', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => send({ path: '/health' })));
    expect(new Set(answers.map(({ headers }) => headers['x-request-id'])).size).toBe(3);
  });
});

describe('health', () => {
  it.each(['/health', '/health/live', '/health/ready'])('is ok at %s', async (path) => {
    const { status, text } = await send({ path });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ status: 'ok' });
  });
});

describe('the docs', () => {
  interface Operation {
    parameters?: { name: string; in: string; required?: boolean }[];
    requestBody?: { content: Record<string, { schema: { required?: string[] } }> };
    responses: Record<
      string,
      { description: string; headers?: object; content?: Record<string, object> }
    >;
  }

  async function allOperations(): Promise<Record<string, Record<string, Operation>>> {
    const { text } = await send({ path: '/docs-json' });
    return (JSON.parse(text) as { paths: Record<string, Record<string, Operation>> }).paths;
  }

  async function operationsOf(path: string): Promise<Record<string, Operation>> {
    return (await allOperations())[path] ?? {};
  }

  /** What a parameter is called, where it goes, and whether a request must have it. */
  const parametersOf = (operation: Operation) =>
    (operation.parameters ?? []).map(
      ({ name, in: place, required }) => `${place} ${name}${required ? '!' : ''}`,
    );

  it('are a page', async () => {
    const { status, headers, text } = await send({ path: '/docs' });
    expect(status).toBe(200);
    expect(headers['content-type']).toMatch(/^text\/html/);
    expect(text).toContain('swagger-ui');
  });

  it.each(['/v1/chat/stream', '/v1/chat/completions'])('describe the body of %s', async (path) => {
    const { post } = await operationsOf(path);
    const { schema } = post!.requestBody!.content['application/json']!;
    expect(schema.required).toEqual(['messages']);
    expect(JSON.stringify(schema)).toContain('"role"');
  });

  it('describe the query of a question', async () => {
    const { get } = await operationsOf('/v1/chat/stream');
    const names = get!.parameters!.filter((parameter) => parameter.in === 'query');
    expect(names.map(({ name }) => name)).toEqual(expect.arrayContaining(['q', 'model', 'format']));
  });

  it('describe the events and headers of a stream', async () => {
    const { get, post } = await operationsOf('/v1/chat/stream');
    for (const operation of [get!, post!]) {
      const { description, headers, content } = operation.responses['200']!;
      for (const event of [
        'start',
        'reasoning',
        'refusal',
        'tool_call',
        'done',
        'cancelled',
        'error',
      ]) {
        expect(description).toContain(`\`${event}\``);
      }
      expect(Object.keys(headers!)).toEqual(
        expect.arrayContaining(['Sluice-Run-Id', 'X-Request-Id']),
      );
      expect(Object.keys(content!)).toEqual(['text/event-stream', 'text/plain']);
    }
  });

  it.each([
    ['/v1/chat/stream', 'get'],
    ['/v1/chat/stream', 'post'],
    ['/v1/chat/completions', 'post'],
  ])('describe the errors of %s', async (path, method) => {
    const operation = (await operationsOf(path))[method]!;
    for (const status of [400, 401, 403, 404, 413, 415, 429, 500, 502, 503, 504]) {
      const { headers, content } = operation.responses[status]!;
      expect(Object.keys(headers!)).toContain('x-should-retry');
      expect(JSON.stringify(content!['application/json'])).toContain('provider_truncated');
    }
  });

  it('list what is in a path, and how each request is answered when all is well', async () => {
    const paths = Object.entries(await allOperations());
    expect(paths.length).toBeGreaterThan(20);
    for (const [path, operations] of paths) {
      const wanted = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => `path ${name}!`);
      for (const [method, operation] of Object.entries(operations)) {
        const inPath = parametersOf(operation).filter((parameter) => parameter.startsWith('path '));
        expect([method, path, inPath]).toEqual([method, path, wanted]);
        const statuses = Object.keys(operation.responses);
        expect([method, path, statuses]).toEqual([
          method,
          path,
          expect.arrayContaining([expect.stringMatching(/^2\d\d$/)]),
        ]);
      }
    }
  });

  it.each([
    ['/v1/chat/stream', 'get'],
    ['/v1/chat/stream', 'post'],
    ['/v1/chat/completions', 'post'],
    ['/openai/v1/chat/completions', 'post'],
    ['/openai/deployments/{model}/chat/completions', 'post'],
    ['/v1/messages', 'post'],
    ['/v1/chat/ui', 'post'],
    ['/api/chat', 'post'],
    ['/api/generate', 'post'],
  ])('list the options of a run that %s starts by %s', async (path, method) => {
    const operation = (await operationsOf(path))[method]!;
    expect(parametersOf(operation)).toEqual(
      expect.arrayContaining([
        'header Idempotency-Key',
        'query idempotency_key',
        'header Sluice-On-Disconnect',
        'query on_disconnect',
      ]),
    );
  });

  it.each([
    ['/v1/chat/stream', 'get'],
    ['/v1/chat/stream', 'post'],
    ['/v1/runs/{id}/events', 'get'],
  ])('tell how %s goes on after an event by %s', async (path, method) => {
    const operation = (await operationsOf(path))[method]!;
    expect(parametersOf(operation)).toContain('header Last-Event-ID');
    expect(Object.keys(operation.responses)).toContain('204');
    // A question is not asked again.
    expect(parametersOf(operation)).not.toContain('query q!');
  });

  it('list what a probe is made of', async () => {
    const { get } = await operationsOf('/v1/doctor/stream');
    expect(parametersOf(get!)).toEqual([
      'query id!',
      'query every_ms!',
      'query for_ms!',
      'query bytes',
      'query as',
      'query hint',
    ]);
  });

  it('can be switched off', async () => {
    const app = await startApp({ DOCS: 'off' });
    try {
      for (const path of ['/docs', '/docs-json']) {
        const call = open({ port: app.port, path });
        expect(await call.status).toBe(404);
      }
    } finally {
      await app.close();
    }
  });
});

describe('a client that wants its connection closed', () => {
  it.each(['/v1/chat/stream?q=hi&model=demo/echo', '/v1/models', '/v1/chat/stream'])(
    'gets the end of it with the answer of %s',
    async (path) => {
      const socket = connect(server.port, '127.0.0.1');
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      // Resolves only with the end of the connection.
      expect(await read(socket)).toMatch(/^HTTP\/1\.1 (200|400) /);
    },
    5_000,
  );
});
