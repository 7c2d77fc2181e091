import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { eventually } from '../support/eventually.js';
import { open, type OpenOptions } from '../support/http.js';
import { startInstance, type Instance, type LogLine } from '../support/instances.js';
import { ask, runIdOf } from '../support/runs.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

const KEY = { authorization: 'Bearer sk-alice' };

let upstream: Upstream;
let server: Instance;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startInstance({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OLLAMA_BASE_URL: 'http://127.0.0.1:1',
    API_KEYS: 'alice:sk-alice',
  });
}, 60_000);
afterAll(async () => {
  await server.kill();
  await upstream.close();
});

/** The lines about requests with this id; at least one. */
async function linesOf(requestId: string): Promise<LogLine[]> {
  const find = () =>
    server.log().filter((line) => line.context === 'Request' && line.request_id === requestId);
  await eventually(() => expect(find()).not.toEqual([]), 5_000);
  return find();
}

async function send(requestId: string, options: Omit<OpenOptions, 'port'>): Promise<LogLine[]> {
  const headers = { 'x-request-id': requestId, ...options.headers };
  await open({ ...options, port: server.port, headers }).ended;
  return linesOf(requestId);
}

describe('the log', () => {
  it('says where the server listens', () => {
    const [line] = server.log();
    expect(line).toMatchObject({
      level: 'info',
      context: 'Sluice',
      msg: `Listening on http://127.0.0.1:${server.port}`,
    });
    expect(new Date(String(line!.time)).getTime()).not.toBeNaN();
  });

  it('has one line a request, with its route and not its address', async () => {
    const path = '/v1/chat/stream?q=tell+me&model=text';
    const lines = await send('one', { path, headers: KEY });

    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.any(String),
        context: 'Request',
        method: 'GET',
        route: '/v1/chat/stream',
        status: 200,
        duration_ms: expect.any(Number),
        bytes: expect.any(Number),
        request_id: 'one',
        client: '127.0.0.1',
        key: 'alice',
        run_id: expect.stringMatching(/^run_[0-9a-f]{32}$/),
      },
    ]);
  });

  it('counts what went over the connection for this request alone', async () => {
    const [line] = await send('bytes', { path: '/health/live' });
    expect(Number(line!.bytes)).toBeGreaterThan('{"status":"ok"}'.length);
    expect(Number(line!.bytes)).toBeLessThan(1_000);
  });

  it('names the trace that the caller is in', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const [line] = await send('traced', { path: '/health', headers: { traceparent } });
    expect(line).toMatchObject({ trace_id: '0af7651916cd43dd8448eb211c80319c' });
  });

  it.each([
    ['no key', { path: '/v1/models' }, { status: 401, route: '/v1/models' }],
    ['no such route', { path: '/nowhere/at?all=1' }, { status: 404 }],
    [
      'a parameter',
      { path: '/v1/runs/run_0', headers: KEY },
      { status: 404, route: '/v1/runs/:id' },
    ],
    [
      'a body that is none',
      {
        path: '/v1/chat/stream',
        body: '{"messages',
        headers: { ...KEY, 'content-type': 'application/json' },
      },
      { status: 400, method: 'POST' },
    ],
  ])('has a line for a request with %s', async (title, options, expected) => {
    const [line, ...others] = await send(title.replaceAll(' ', '.'), options);
    expect(line).toMatchObject(expected);
    expect(others).toEqual([]);
  });

  it('tells that the client left', async () => {
    const headers = { ...KEY, 'x-request-id': 'left' };
    const call = ask(server.port, 'slow', { headers });
    await call.until('data:');
    const run = await runIdOf(call);
    call.end();

    expect(await linesOf('left')).toEqual([
      expect.objectContaining({ status: 200, aborted: true, run_id: run }),
    ]);
  });

  it('does not say so of an answer that the server broke off', async () => {
    const path = '/v1/chat/stream?format=plain';
    await ask(server.port, 'rst-mid', { path, headers: { ...KEY, 'x-request-id': 'broken' } })
      .ended;
    const [line] = await linesOf('broken');
    expect(line).not.toHaveProperty('aborted');
  });

  it.each([
    ['ollama/away', { error_code: 'provider_unavailable', error_cause: 'ECONNREFUSED' }],
    ['openai/status-500', { error_code: 'provider_unavailable', upstream_status: 500 }],
  ])('tells why a run of %s failed', async (model, expected) => {
    await ask(server.port, model, { headers: KEY }).ended;
    const find = () => server.log().find((line) => line.target === model);
    await eventually(() => expect(find()).toMatchObject(expected), 5_000);
  });

  it('tells of a run that the end of the server ends', async () => {
    const leaving = await startInstance({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      SHUTDOWN_DELAY_MS: 0,
      SHUTDOWN_DRAIN_MS: 100,
    });
    const call = ask(leaving.port, 'stall', { headers: { 'x-request-id': 'last' } });
    await call.until('data:');
    const exited = once(leaving.process, 'exit');
    leaving.process.kill('SIGTERM');
    await exited;

    const lines = leaving.log().filter((line) => line.request_id === 'last');
    const run_id = await runIdOf(call);
    expect(lines).toEqual([
      expect.objectContaining({ context: 'Run', run_id, error_code: 'shutting_down' }),
      expect.objectContaining({ context: 'Request', run_id, status: 200 }),
    ]);
  });
});
