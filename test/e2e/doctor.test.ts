import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall } from '../support/http.js';
import { parseSse } from '../support/sse.js';

const PROBE = '/v1/doctor/stream?id=probe-01';

let server: RunningApp;
let calls: HttpCall[] = [];

beforeAll(async () => {
  server = await startApp({ DEMO: 'on', API_KEYS: 'alice:sk-alice,bob:sk-bob' });
});
afterEach(() => {
  for (const call of calls) call.destroy();
  calls = [];
});
afterAll(() => server.close());

function get(path: string, key = 'sk-alice', port = server.port): HttpCall {
  const call = open({ port, path, headers: { authorization: `Bearer ${key}` } });
  calls.push(call);
  return call;
}

async function json(path: string, key?: string): Promise<Record<string, unknown>> {
  const call = get(path, key);
  await call.ended;
  return { status: await call.status, ...(JSON.parse(call.text()) as object) };
}

describe('a stream to measure against', () => {
  it('says when each event was sent, and when it is over', async () => {
    const call = get(`${PROBE}&every_ms=20&for_ms=100&bytes=300`);
    expect(await call.ended).toBe('complete');
    const { events } = parseSse(call.text());
    expect(events.at(-1)).toMatchObject({ event: 'done' });
    const sent = events.slice(0, -1).map(({ data }) => JSON.parse(data) as Sent);
    expect(sent.map(({ n }) => n)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(sent.every(({ pad }) => pad.length === 300)).toBe(true);
    for (const [index, { at }] of sent.entries()) expect(at).toBeGreaterThan(index * 20 - 2);
  });

  it('sends comments too, as heartbeats are', async () => {
    const call = get(`${PROBE}&every_ms=20&for_ms=40&as=comment`);
    await call.ended;
    expect(parseSse(call.text()).comments).toHaveLength(3);
  });

  it('has the headers of a real stream, that against buffering only if asked', async () => {
    const kept = async (path: string) => {
      const { ['sluice-run-id']: _run, date: _date, ...headers } = await get(path).headers;
      return { ...headers, 'x-request-id': '', 'request-id': '' };
    };
    const real = await kept('/v1/chat/stream?q=hi&model=demo/echo');
    expect(await kept(`${PROBE}&every_ms=20&for_ms=0`)).toEqual(real);
    const { 'x-accel-buffering': _hint, ...unhinted } = real as Record<string, unknown>;
    expect(await kept(`${PROBE}&every_ms=20&for_ms=0&hint=off`)).toEqual(unhinted);
  });

  it.each([
    ['no id', 'every_ms=20&for_ms=100'],
    ['a pace too fast', 'id=probe-01&every_ms=1&for_ms=100'],
    ['a time too long', 'id=probe-01&every_ms=1000&for_ms=600001'],
    ['an event too large', 'id=probe-01&every_ms=1000&for_ms=1000&bytes=4097'],
    ['too much in all', 'id=probe-01&every_ms=10&for_ms=600000&bytes=4096'],
  ])('is bounded: %s', async (_name, query) => {
    expect(await json(`/v1/doctor/stream?${query}`)).toMatchObject({
      status: 400,
      error: { code: 'invalid_request' },
    });
  });

  it('has an id of its own for as long as it goes on', async () => {
    const first = get('/v1/doctor/stream?id=probe-04&every_ms=60000&for_ms=60000');
    await first.until('"n":0');
    const again = '/v1/doctor/stream?id=probe-04&every_ms=20&for_ms=0';
    expect(await json(again)).toMatchObject({ status: 409, error: { param: 'id' } });
    expect(await get(again, 'sk-bob').status).toBe(200);
    first.destroy();
    await eventually(async () => expect(await get(again).status).toBe(200));
  });

  it('is nothing that a shutdown waits for', async () => {
    const leaving = await startApp({ DEMO: 'on', SHUTDOWN_DRAIN_MS: 10_000 });
    const call = get(`${PROBE}&every_ms=10&for_ms=60000`, undefined, leaving.port);
    await call.until('"n":0');
    const startedAt = performance.now();
    await leaving.close();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(parseSse(call.text()).events.at(-1)).toMatchObject({ event: 'error' });
  });
});

interface Sent {
  n: number;
  at: number;
  pad: string;
}

describe('GET /v1/doctor/probes/:id', () => {
  it('tells when the client was seen to leave', async () => {
    const call = get('/v1/doctor/stream?id=probe-02&every_ms=60000&for_ms=60000');
    await call.until('"n":0');
    expect(await json('/v1/doctor/probes/probe-02')).toMatchObject({ closed_after_ms: null });
    const leaveAfterMs = Number((await json('/v1/doctor/probes/probe-02')).age_ms);
    call.end();
    await eventually(async () => {
      const { closed_after_ms: ms } = await json('/v1/doctor/probes/probe-02');
      expect(ms).toEqual(expect.any(Number));
      expect(ms).toBeGreaterThan(leaveAfterMs - 1);
    });
  });

  it.each([
    ['nobody has', 'probe-none', 'sk-alice'],
    ['is somebody else’s', 'probe-03', 'sk-bob'],
  ])('is 404 for one that %s', async (_name, id, key) => {
    await get('/v1/doctor/stream?id=probe-03&every_ms=60000&for_ms=60000').until('"n":0');
    expect(await json(`/v1/doctor/probes/${id}`, key)).toMatchObject({ status: 404 });
  });
});

it('tells how long Sluice may be silent, and how the request came', async () => {
  expect(await json('/v1/doctor')).toMatchObject({
    object: 'doctor',
    heartbeat_ms: 15_000,
    commit_after_ms: 10_000,
    request: { http_version: '1.1', via: null },
  });
});

it.each(['/v1/doctor', PROBE, '/v1/doctor/probes/probe-01'])('%s wants a key', async (path) => {
  expect(await json(path, 'sk-mallory')).toMatchObject({ status: 401 });
});

it('refuses more probes at once than it may have, of one caller and of all', async () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const keys = names.map((name) => `sk-${name}`);
  const API_KEYS = names.map((name) => `${name}:sk-${name}`).join(',');
  const other = await startApp({ DEMO: 'on', API_KEYS });
  const path = (n: number) => `/v1/doctor/stream?id=probe-${n + 1000}&every_ms=9000&for_ms=90000`;
  const streams: HttpCall[] = [];
  for (const key of keys.slice(0, 4)) {
    for (let n = 0; n < 64; n += 1) {
      const call = get(path(n), key, other.port);
      expect(await call.status).toBe(200);
      streams.push(call);
    }
    expect(await get(path(64), key, other.port).status).toBe(429);
  }
  expect(await get(path(0), keys[4], other.port).status).toBe(429);

  // What is over makes room.
  streams[0]!.destroy();
  const again = () => get(path(0), keys[4], other.port).status;
  await eventually(async () => expect(await again()).toBe(200));
  await other.close();
});
