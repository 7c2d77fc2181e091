import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { open, type HttpCall } from '../http.js';
import { parseSse } from '../sse.js';
import { scenarios } from './scenarios.js';
import {
  NASTY,
  PROMPT_TOKENS,
  REASONING,
  REFUSAL,
  TEXT,
  TEXT_TOKENS,
  TOOL_CALLS,
  bigText,
  startUpstream,
  textOf,
  type Upstream,
} from './index.js';

/** What the assertions read of a chunk or an Ollama line. */
interface Sent {
  id?: string;
  created?: number;
  usage?: object | null;
  choices?: {
    index: number;
    delta?: {
      content?: string;
      reasoning_content?: string;
      refusal?: string;
      tool_calls?: { index: number; id?: string; function: { arguments: string } }[];
    };
    finish_reason: string | null;
  }[];
  message?: { content: string; thinking?: string; tool_calls?: unknown[] };
  done?: boolean;
  error?: unknown;
}

let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
});

afterEach(() => upstream.reset());

afterAll(() => upstream.close());

const messages = [
  { role: 'user', content: 'first' },
  { role: 'assistant', content: 'answer' },
  { role: 'user', content: 'say this  again ' },
];

function openai(model: string, extra: object = {}): HttpCall {
  const body = { model, messages, stream: true, ...extra };
  return open({ port: upstream.port, path: '/v1/chat/completions', body });
}

function azure(deployment: string): HttpCall {
  const path = `/openai/deployments/${deployment}/chat/completions?api-version=2024-10-21`;
  return open({ port: upstream.port, path, body: { messages, stream: true } });
}

function ollama(model: string): HttpCall {
  return open({ port: upstream.port, path: '/api/chat', body: { model, messages } });
}

async function bodyOf(call: HttpCall): Promise<string> {
  expect(await call.ended).toBe('complete');
  return call.text();
}

const parse = (json: string) => JSON.parse(json) as Sent;

async function chunksOf(call: HttpCall): Promise<Sent[]> {
  const { events, unterminated } = parseSse(await bodyOf(call));
  expect(unterminated).toBe('');
  expect(events.at(-1)?.data).toBe('[DONE]');
  return events.slice(0, -1).map(({ data }) => parse(data));
}

async function linesOf(call: HttpCall): Promise<Sent[]> {
  const lines = (await bodyOf(call)).split('\n');
  expect(lines.pop()).toBe('');
  return lines.map(parse);
}

function contentOf(sent: Sent[], choice = 0): string {
  return sent
    .flatMap(({ choices }) => choices?.filter(({ index }) => index === choice) ?? [])
    .map(({ delta }) => delta?.content ?? '')
    .join('');
}

describe('the protocols', () => {
  it('should frame OpenAI chunks with one id, usage last and [DONE]', async () => {
    const call = openai('text', { stream_options: { include_usage: true } });
    expect(await call.status).toBe(200);
    expect((await call.headers)['content-type']).toBe('text/event-stream; charset=utf-8');

    const chunks = await chunksOf(call);

    expect(call.text()).toMatch(/^data: \{"id":"chatcmpl-[^\n]*\}\n\ndata: /);
    expect(new Set(chunks.map(({ id, created }) => `${id ?? ''} ${created ?? ''}`)).size).toBe(1);
    expect(contentOf(chunks)).toBe(TEXT);
    expect(chunks.at(-2)?.choices?.[0]?.finish_reason).toBe('stop');
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: PROMPT_TOKENS, completion_tokens: TEXT_TOKENS.length },
    });
  });

  it('should not mention usage to who did not ask', async () => {
    expect(await bodyOf(openai('text'))).not.toContain('usage');
  });

  it('should take the scenario from the deployment on Azure, from the body on its v1 path', async () => {
    const v1 = { port: upstream.port, path: '/openai/v1/chat/completions' };
    const calls = [azure('text_tokens-3'), open({ ...v1, body: { model: 'text_tokens-3' } })];

    for (const call of calls) expect(contentOf(await chunksOf(call))).toBe(textOf(3));
    expect(upstream.requests.map(({ protocol }) => protocol)).toEqual(['azure', 'azure']);
  });

  it('should refuse a deployment without an api-version', async () => {
    const path = '/openai/deployments/text/chat/completions';
    expect(await open({ port: upstream.port, path, body: {} }).status).toBe(404);
  });

  it('should frame Ollama as one JSON line a token', async () => {
    const call = ollama('text');
    expect((await call.headers)['content-type']).toBe('application/x-ndjson');

    const lines = await linesOf(call);

    expect(lines.map(({ message }) => message?.content).join('')).toBe(TEXT);
    expect(lines.slice(0, -1).every(({ done }) => done === false)).toBe(true);
    expect(lines.at(-1)).toMatchObject({
      done: true,
      done_reason: 'stop',
      prompt_eval_count: PROMPT_TOKENS,
      eval_count: TEXT_TOKENS.length,
    });
  });

  it('should refuse unknown scenarios, misspelt options and unknown paths', async () => {
    expect(await openai('gpt-4o').status).toBe(404);
    expect(await openai('text_token-5').status).toBe(404);
    expect(await open({ port: upstream.port, path: '/v1/models' }).status).toBe(404);
  });
});

describe('the record', () => {
  it('should hold what came and what was sent', async () => {
    const call = openai('echo_ms-0');
    expect(contentOf(await chunksOf(call))).toBe('say this  again ');

    const request = await upstream.next(({ model }) => model.startsWith('echo'));
    await request.closed;

    expect(request).toMatchObject({
      method: 'POST',
      path: '/v1/chat/completions',
      protocol: 'openai',
      body: { messages },
      sent: 'say this  again ',
      finished: true,
      closedEarly: false,
    });
    await expect(upstream.next(undefined, 10)).rejects.toThrow(/seen: .* \(echo_ms-0\)/);
  });

  it.each(['destroy', 'end'] as const)(
    'should count a client that leaves with %s',
    async (leave) => {
      const calls = ['wait-headers', 'wait-first', 'stall', 'slow'].map((model) => openai(model));
      const requests = await Promise.all(calls.map(() => upstream.next()));
      expect(upstream.openSockets).toBe(4);
      await calls[2]!.until(TEXT_TOKENS[2]!);

      for (const call of calls) call[leave]();
      await Promise.all(requests.map(({ closed }) => closed));

      expect(upstream.closedEarly).toBe(4);
      expect(upstream.openSockets).toBe(0);
      const stalled = requests.find(({ model }) => model === 'stall');
      expect(stalled).toMatchObject({ sent: textOf(3), finished: false, closedEarly: true });
    },
  );

  it('should notice a client that leaves while it is not reading', async () => {
    const call = openai('flood_tokens-1000000');
    const request = await upstream.next();
    await call.pause();
    call.destroy();
    await request.closed;

    expect(request.closedEarly).toBe(true);
  });

  it('should not count faults of its own as early closes', async () => {
    expect(await openai('rst-mid').ended).toBe('reset');
    expect(await openai('fin-mid').ended).toBe('truncated');
    await Promise.all(upstream.requests.map(({ closed }) => closed));

    expect(upstream.closedEarly).toBe(0);
    expect(upstream.requests.every(({ finished }) => finished)).toBe(true);
  });

  it('should keep a connection alive after a good end', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const before = upstream.connections;
    for (let i = 0; i < 2; i += 1) {
      await new Promise<void>((resolve) => {
        const options = { method: 'POST', agent };
        const url = `${upstream.url}/api/chat`;
        request(url, options, (res) => res.resume().once('end', resolve)).end(
          '{"model":"text_ms-0"}',
        );
      });
    }

    expect(upstream.requests.map(({ finished }) => finished)).toEqual([true, true]);
    expect(upstream.connections - before).toBe(1);
    agent.destroy();
  });
});

describe('scripts', () => {
  it('should play a scenario of the test in the protocol of the request', async () => {
    upstream.script('own_model', (exchange) => {
      exchange.text('mine');
      exchange.complete('length');
    });

    expect(contentOf(await chunksOf(openai('own_model')))).toBe('mine');
    expect(await linesOf(ollama('own_model'))).toMatchObject([
      { message: { content: 'mine' } },
      { done_reason: 'length' },
    ]);
  });

  it('should report on close what a script threw', async () => {
    const own = await startUpstream();
    own.script('broken', () => {
      throw new Error('a mistake in the test');
    });
    const call = open({ port: own.port, path: '/api/chat', body: { model: 'broken' } });

    expect(await call.ended).toBe('reset');
    await expect(own.close()).rejects.toThrow('a mistake in the test');
  });

  it('should fail only as many times as asked', async () => {
    const statuses = [];
    for (let i = 0; i < 3; i += 1) statuses.push(await openai('status-503_times-2').status);

    expect(statuses).toEqual([503, 503, 200]);
  });
});

describe('content', () => {
  it.each(['split', 'sse-crlf', 'sse-cr', 'sse-bom', 'sse-comments', 'sse-multiline'])(
    'should say the same text in the framing of %s',
    async (model) => {
      expect(contentOf(await chunksOf(openai(model)))).toBe(TEXT);
      expect(await bodyOf(ollama(model))).toContain('The end.');
    },
  );

  it('should say nasty and big texts exactly, with lone surrogates escaped', async () => {
    const nasty = openai('nasty');
    expect(contentOf(await chunksOf(nasty))).toBe(NASTY);
    expect(nasty.text()).toContain('alone \\ud83d ');
    expect(contentOf(await chunksOf(openai('big')))).toBe(bigText());
  });

  it('should interleave the arguments of parallel tool calls', async () => {
    const deltas = (await chunksOf(openai('tools'))).flatMap(
      ({ choices }) => choices?.[0]?.delta?.tool_calls ?? [],
    );
    const argumentsOf = (call: number) =>
      deltas
        .filter(({ index }) => index === call)
        .map((delta) => delta.function.arguments)
        .join('');

    expect(deltas.map(({ index }) => index).join('')).toMatch(/^0101/);
    expect([0, 1].map(argumentsOf)).toEqual(TOOL_CALLS.map((call) => call.arguments));
    expect((await linesOf(ollama('tools')))[0]?.message?.tool_calls).toMatchObject([
      { function: { name: 'get_weather', arguments: { city: 'Zürich' } } },
      { function: { name: 'get_time' } },
    ]);
  });

  it('should think and refuse', async () => {
    const thought = await chunksOf(openai('reasoning'));
    const refused = await chunksOf(openai('refusal'));
    const deltasOf = (sent: Sent[]) => sent.map(({ choices }) => choices?.[0]?.delta);

    expect(
      deltasOf(thought)
        .map((d) => d?.reasoning_content ?? '')
        .join(''),
    ).toBe(REASONING);
    expect(
      deltasOf(refused)
        .map((d) => d?.refusal ?? '')
        .join(''),
    ).toBe(REFUSAL);
    expect((await linesOf(ollama('reasoning')))[0]?.message?.thinking).toBeDefined();
  });

  it('should interleave two choices and end each', async () => {
    const chunks = await chunksOf(openai('choices-2'));

    expect(contentOf(chunks, 0)).toBe(TEXT);
    expect(contentOf(chunks, 1)).toBe(TEXT.toUpperCase());
    expect(chunks.slice(-2).map(({ choices }) => choices?.[0]?.index)).toEqual([1, 0]);
  });

  it("should send Azure's filter frames around the text and after the finish reason", async () => {
    const chunks = await chunksOf(azure('azure-frames'));

    expect(chunks[0]).toMatchObject({ id: '', choices: [], prompt_filter_results: [{}] });
    expect(chunks.at(-1)?.choices?.[0]).not.toHaveProperty('delta');
    expect(chunks.at(-2)?.choices?.[0]?.finish_reason).toBe('stop');
    expect(contentOf(chunks)).toBe(TEXT);
  });

  it('should put usage or content on the chunk with the finish reason', async () => {
    const usage = (await chunksOf(openai('usage-on-finish'))).at(-1);
    const content = (await chunksOf(openai('finish-with-content'))).at(-1);

    expect(usage).toMatchObject({ choices: [{ finish_reason: 'stop' }], usage: {} });
    expect(content?.choices?.[0]).toMatchObject({
      delta: { content: TEXT_TOKENS.at(-1) },
      finish_reason: 'stop',
    });
  });

  it('should refuse stream_options where told to', async () => {
    const refused = openai('refuses-stream-options', { stream_options: { include_usage: true } });

    expect(await refused.status).toBe(400);
    expect(await openai('refuses-stream-options').status).toBe(200);
  });
});

describe('refusals', () => {
  it("should have each protocol's error shape and Retry-After", async () => {
    const calls = [openai('status-429'), azure('status-429'), ollama('status-429')];
    const bodies = await Promise.all(calls.map(async (call) => parse(await bodyOf(call))));

    expect(await calls[0]!.status).toBe(429);
    expect((await calls[0]!.headers)['retry-after']).toBe('7');
    expect(bodies).toMatchObject([
      { error: { type: 'requests', param: null, code: 'rate_limit_exceeded' } },
      { error: { code: '429' } },
      { error: expect.stringContaining('Rate limit') as unknown },
    ]);
  });

  it('should answer with pages, nothing, and elsewhere', async () => {
    expect(await bodyOf(openai('status-502-html'))).toMatch(/^<!DOCTYPE html>/);
    expect(await bodyOf(openai('status-500-empty'))).toBe('');
    expect((await openai('redirect').headers).location).toBe('/redirected');
    expect(await bodyOf(openai('ok-json'))).toContain('"object":"chat.completion"');
    expect((await openai('ok-wrong-type').headers)['content-type']).toBe('text/plain');
  });
});

describe('faults', () => {
  it.each([
    ['rst-first', 'reset'],
    ['fin-first', 'truncated'],
  ])('should end %s before a head: %s', async (model, ending) => {
    const call = openai(model);

    expect(await call.ended).toBe(ending);
    await expect(call.status).rejects.toThrow();
  });

  it.each([
    ['rst-mid', 'reset', textOf(3), undefined],
    ['fin-mid', 'truncated', textOf(3), undefined],
    ['eof-mid', 'complete', textOf(3), undefined],
    ['finish-without-done', 'complete', TEXT, 'stop'],
    ['finish-then-rst', 'reset', TEXT, 'stop'],
  ])('should end %s as %s with what was sent before', async (model, ending, content, reason) => {
    const call = openai(model);
    expect(await call.ended).toBe(ending);

    const { events, unterminated } = parseSse(call.text());
    const chunks = events.map(({ data }) => parse(data));
    expect(unterminated).toBe('');
    expect(contentOf(chunks)).toBe(content);
    expect(chunks.at(-1)?.choices?.[0]?.finish_reason ?? undefined).toBe(reason);
  });

  it('should cut a frame in two and end cleanly', async () => {
    const { unterminated } = parseSse(await bodyOf(openai('cut-line')));
    expect(unterminated).toMatch(/^data: \{.*[^}\n]$/);
    expect(await bodyOf(ollama('cut-line'))).toMatch(/\n\{[^\n]*[^}\n]$/);
  });

  it('should put errors and broken JSON into a stream', async () => {
    const { events } = parseSse(await bodyOf(openai('error-mid')));
    expect(parse(events.at(-1)!.data).error).toMatchObject({ type: 'server_error' });
    expect(await bodyOf(ollama('error-first'))).toBe('{"error":"The engine is overloaded."}\n');

    const broken = parseSse(await bodyOf(openai('malformed'))).events;
    expect(() => parse(broken[4]!.data)).toThrow(SyntaxError);
  });

  it('should send an endless line until the client leaves', async () => {
    const call = openai('endless-line');
    await call.until('x'.repeat(1024 * 1024));
    call.destroy();
    const request = await upstream.next();
    await request.closed;

    expect(request).toMatchObject({ sent: textOf(3), closedEarly: true });
    expect(parseSse(call.text()).unterminated.length).toBeGreaterThan(1024 * 1024);
  });

  it('should leave a finished answer hanging', async () => {
    const call = openai('done-then-hang');
    await call.until('[DONE]');
    expect(upstream.openSockets).toBe(1);
    call.destroy();

    expect(await call.ended).toBe('left');
  });
});

it('should play what its documentation says, and nothing else', () => {
  const rows = readFileSync('docs/faults.md', 'utf8').matchAll(/^\| (`.*?`) +\|/gm);
  const names = [...rows].flatMap(([, cell = '']) => cell.match(/[\w<>-]+/g) ?? []);
  const options = ['tokens', 'ms', 'after', 'wait', 'times', 'bytes', 'retryafter'];
  const documented = names.filter((name) => !options.includes(name) && !name.includes('<n>'));
  const generic = /^status-(?!204)\d+(-html|-empty)?$/;

  const played = [...scenarios.keys()].filter((name) => !generic.test(name));
  expect(documented.sort()).toEqual(played.sort());
});
