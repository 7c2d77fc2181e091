import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { open, type HttpCall } from '../support/http.js';
import { startInstance, type Instance } from '../support/instances.js';
import { answerOf, ask, eventsOf, runIdOf, stateOf, textOfEvents, view } from '../support/runs.js';
import {
  startUpstream,
  textOf,
  TEXT,
  TEXT_TOKENS,
  type Upstream,
} from '../support/upstream/index.js';

let upstream: Upstream;
let instance: Instance;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(async () => {
  await instance.kill();
  upstream.reset();
});
afterAll(() => upstream.close());

/** A process that gives load balancers `delay` ms and streams `drain` ms. */
async function start({ delay, drain }: { delay: number; drain: number }): Promise<number> {
  instance = await startInstance({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    SHUTDOWN_DELAY_MS: delay,
    SHUTDOWN_DRAIN_MS: drain,
  });
  return instance.port;
}

/** Sends the signal. */
function terminate(signal: NodeJS.Signals = 'SIGTERM') {
  const signalledAt = performance.now();
  const exited = once(instance.process, 'exit').then(([code]) => ({
    code: code as number | null,
    ms: performance.now() - signalledAt,
  }));
  instance.process.kill(signal);
  return exited;
}

const KEEP_ALIVE = { connection: 'keep-alive' };

const ready = (port: number) => open({ port, path: '/health/ready', headers: KEEP_ALIVE });

/** Resolves once the process knows that it is to end. */
async function leaving(port: number): Promise<HttpCall> {
  for (;;) {
    const call = ready(port);
    await call.ended;
    if ((await call.status) === 503) return call;
  }
}

/** Resolves once nothing new is let in. */
async function closed(port: number): Promise<void> {
  for (;;) {
    const call = ask(port, 'text_tokens-1');
    await call.ended;
    if ((await call.status) === 503) return;
  }
}

async function say(socket: Socket, path: string): Promise<void> {
  const sent = new Promise((resolve) => {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`, resolve);
  });
  await sent;
}

/** The last event, as bytes. */
function lastOf(call: HttpCall): string {
  return call.text().split('\n\n').at(-2)!.trimStart();
}

describe('SIGTERM', () => {
  it('is heard by load balancers at once, while requests are still served', async () => {
    const port = await start({ delay: 4_000, drain: 5_000 });
    const before = ready(port);
    expect(await answerOf<object>(before)).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect((await before.headers).connection).toBe('keep-alive');

    const exited = terminate();
    const { body, headers } = await answerOf<object>(await leaving(port));
    expect(body).toEqual({ status: 'shutting_down' });
    expect(headers.connection).toBe('close');
    expect(await open({ port, path: '/health/live' }).status).toBe(200);

    const call = ask(port, 'text');
    expect(await call.status).toBe(200);
    expect(await call.ended).toBe('complete');
    expect(textOfEvents(eventsOf(call))).toBe(TEXT);
    const plain = ask(port, 'text', { path: '/v1/chat/completions', headers: KEEP_ALIVE });
    expect(await plain.status).toBe(200);
    expect((await plain.headers).connection).toBe('close');

    const { code, ms } = await exited;
    expect(code).toBe(0);
    expect(ms).toBeGreaterThan(3_900);
    // Nothing was left to wait for.
    expect(ms).toBeLessThan(7_000);
  });

  it('closes connections that were kept alive behind their next answer, a stream too', async () => {
    const port = await start({ delay: 60_000, drain: 0 });
    const paths = ['/health/live', '/v1/chat/stream?q=hi&model=text', '/v1/models'];
    const sockets = await Promise.all(
      paths.map(async () => {
        const socket = connect(port, '127.0.0.1');
        await say(socket, '/health/live');
        await once(socket, 'data');
        return socket;
      }),
    );
    void terminate();
    await leaving(port);
    for (const [index, path] of paths.entries()) {
      const socket = sockets[index]!;
      expect(socket.readableEnded).toBe(false);
      const answer = readText(socket);
      await say(socket, path);
      expect(await answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*(\}|0\r\n\r\n)$/);
    }
  });

  it('then lets nothing new in, and those who come back for what is live', async () => {
    const port = await start({ delay: 0, drain: 20_000 });
    let finish = () => {};
    upstream.script('patient', async (exchange) => {
      exchange.role();
      exchange.text('before');
      await new Promise<void>((resolve) => (finish = resolve));
      exchange.text(' after');
      exchange.complete();
    });
    const path = '/v1/chat/stream?q=hi&model=patient&on_disconnect=grace=30&idempotency_key=';
    const call = open({ port, path: `${path}mine` });
    await call.until('data: {"content"');
    const id = await runIdOf(call);
    const exited = terminate();
    await closed(port);
    const asked = upstream.requests.length;

    for (const path of ['/v1/chat/stream', '/v1/chat/completions']) {
      const refused = await answerOf(ask(port, 'text', { path }));
      expect(refused).toMatchObject({ status: 503, body: { error: { code: 'shutting_down' } } });
      expect(refused.headers).toMatchObject({ 'retry-after': '2', 'x-should-retry': 'true' });
    }
    expect(await open({ port, path: `${path}another` }).status).toBe(503);
    expect(upstream.requests).toHaveLength(asked);

    // The run waits for a client whose network broke just now.
    call.destroy();
    expect((await stateOf(port, id)).body.status).toBe('running');
    const again = view(port, id, { after: 2 });
    expect(await again.status).toBe(200);
    const joined = open({ port, path: `${path}mine` });
    expect(await joined.status).toBe(200);
    expect(await runIdOf(joined)).toBe(id);
    finish();
    expect(await again.ended).toBe('complete');
    expect(eventsOf(again).map(({ event }) => event)).toEqual(['message', 'done']);

    const { code, ms } = await exited;
    expect(code).toBe(0);
    expect(ms).toBeLessThan(15_000);
  });

  it('shows each of 100 open streams its end or that the server leaves, and exits with 0', async () => {
    const port = await start({ delay: 200, drain: 2_500 });
    const formats = ['json', 'text', 'openai', 'plain'];
    const calls = Array.from({ length: 100 }, (_, index) => {
      // Half of them end within the drain, the others never would.
      const model = index % 2 === 0 ? 'text_tokens-60_ms-20' : 'stall';
      const format = formats[Math.floor(index / 2) % formats.length]!;
      const call = ask(port, model, { path: `/v1/chat/stream?format=${format}` });
      return { call, format, ends: index % 2 === 0 };
    });
    for (const { call } of calls) await call.until(TEXT_TOKENS[0]!, 15_000);
    const exited = terminate();

    for (const { call, format, ends } of calls) {
      const ended = await call.ended;
      if (format === 'plain') {
        expect([ended, call.text()]).toEqual(
          ends ? ['complete', textOf(60)] : ['truncated', textOf(3)],
        );
        continue;
      }
      expect(ended).toBe('complete');
      const last = lastOf(call);
      if (format === 'openai') {
        expect(last).toMatch(ends ? /^data: \[DONE\]$/ : /^data: \{"error":.*"shutting_down"/);
      } else if (ends) {
        expect(last).toMatch(/^event: done$/m);
      } else {
        expect(last).toMatch(/^event: error$/m);
        expect(last).toMatch(/^data: \{"code":"shutting_down",.*"retryable":true/m);
        expect(last).toMatch(/^id: run_[0-9a-f]{32}:5$/m);
        if (format === 'json') expect(last).toMatch(/^retry: \d+$/m);
      }
      if (format === 'json') expect(textOfEvents(eventsOf(call))).toBe(textOf(ends ? 60 : 3));
    }
    const { code, ms } = await exited;
    expect(code).toBe(0);
    expect(ms).toBeGreaterThan(2_500);
    expect(ms).toBeLessThan(8_000);
    // No generation was left running for nobody.
    expect(upstream.openSockets).toBe(0);
    expect(upstream.closedEarly).toBe(50);
  });

  it('waits for a run that nobody views, and for nothing else', async () => {
    const port = await start({ delay: 0, drain: 20_000 });
    const headers = { 'sluice-on-disconnect': 'continue' };
    const call = ask(port, 'text_tokens-60_ms-20', { headers });
    await call.until(TEXT_TOKENS[0]!);
    call.destroy();
    // A connection kept alive is no request.
    const idle = open({ port, path: '/health/live', headers: KEEP_ALIVE });
    await idle.ended;

    const { code, ms } = await terminate();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(10_000);
    expect(upstream.requests[0]).toMatchObject({ sent: textOf(60), closedEarly: false });
  });

  it('does not wait for pipelined requests that were left before their turn', async () => {
    const port = await start({ delay: 0, drain: 20_000 });
    const request = 'GET /v1/chat/stream?q=hi&model=stall HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    socket.write(request.repeat(3));
    await once(socket, 'data');
    socket.resetAndDestroy();
    const { code, ms } = await terminate();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(10_000);
  });

  it('ends at once when there is nothing to wait for', async () => {
    await start({ delay: 0, drain: 25_000 });
    const { code, ms } = await terminate();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(3_000);
  });

  it.each([
    ['load balancers to learn of it', 25_000, 0],
    ['streams to end', 0, 25_000],
  ])('that comes a second time does not wait for %s', async (_what, delay, drain) => {
    const port = await start({ delay, drain });
    const call = ask(port, 'stall');
    await call.until(TEXT_TOKENS[2]!);
    const exited = terminate();
    if (delay > 0) await leaving(port);
    else await closed(port);
    instance.process.kill('SIGTERM');

    expect(await call.ended).toBe('complete');
    expect(lastOf(call)).toMatch(/^data: \{"code":"shutting_down"/m);
    const { code, ms } = await exited;
    expect(code).toBe(0);
    expect(ms).toBeLessThan(6_000);
  });
});

describe('SIGINT', () => {
  it('does not wait for load balancers, but for streams', async () => {
    const port = await start({ delay: 25_000, drain: 20_000 });
    const call = ask(port, 'text_tokens-40_ms-20');
    await call.until(TEXT_TOKENS[0]!);
    const { code, ms } = await terminate('SIGINT');
    expect(await call.ended).toBe('complete');
    expect(textOfEvents(eventsOf(call))).toBe(textOf(40));
    expect(code).toBe(0);
    expect(ms).toBeLessThan(10_000);
  });
});
