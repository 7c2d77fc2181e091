import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { startHaproxy, startNginx, type Balancer } from '../support/balancers.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/free-port.js';
import type { HttpCall } from '../support/http.js';
import { startInstance, type Instance } from '../support/instances.js';
import { describeWith } from '../support/programs.js';
import { startRedis, type RedisServer } from '../support/redis.js';
import { ask, eventsOf, runIdOf, textOfEvents, view } from '../support/runs.js';
import { startUpstream, textOf, type Upstream } from '../support/upstream/index.js';

/** From upstream's writing of a token to the client's reading of it. */
const MAX_DELAY_MS = 50;

const DELAY_MS = 500;
const DRAIN_MS = 10_000;

const GRACE = { headers: { 'sluice-on-disconnect': 'grace=10' } };

describe.each([
  ['nginx', startNginx],
  ['haproxy', startHaproxy],
] as const)('two instances behind %s', (name, start) => {
  describeWith(name, 'as deploy/ has it', () => {
    let upstream: Upstream;
    let redis: RedisServer;
    let ports: [number, number];
    let instances: [Instance, Instance];
    let balancer: Balancer;

    const instance = (port: number) =>
      startInstance({
        PORT: port,
        OPENAI_BASE_URL: `${upstream.url}/v1`,
        REDIS_URL: redis.url,
        SHUTDOWN_DELAY_MS: DELAY_MS,
        SHUTDOWN_DRAIN_MS: DRAIN_MS,
      });

    beforeAll(async () => {
      upstream = await startUpstream();
      redis = await startRedis();
      ports = [await freePort(), await freePort()];
      instances = [await instance(ports[0]), await instance(ports[1])];
      balancer = await start(ports);
    }, 60_000);
    afterEach(() => upstream.reset());
    afterAll(async () => {
      await balancer.close();
      for (const one of instances) await one.kill();
      await redis.close();
      await upstream.close();
    });

    /** How late the latest of a stream's tokens came. Upstream's clock is the client's. */
    async function latest(): Promise<number> {
      const sentAt: number[] = [];
      upstream.script('clocked', async (exchange) => {
        exchange.role();
        for (let token = 0; token < 50; token++) {
          await exchange.sleep(20);
          sentAt.push(performance.now());
          exchange.text(`<${token}>`);
        }
        exchange.complete();
      });
      const call = ask(balancer.port, 'clocked');
      const delays: number[] = [];
      for (let token = 0; token < 50; token++) {
        await call.until(`<${token}>`);
        delays.push(performance.now() - sentAt[token]!);
      }
      expect(await call.ended).toBe('complete');
      return Math.max(...delays);
    }

    it(`shows each token within ${MAX_DELAY_MS} ms`, async () => {
      // A busy machine is late at times. What buffers always is.
      const attempts = [await latest(), await latest(), await latest()];
      expect(Math.min(...attempts)).toBeLessThan(MAX_DELAY_MS);
    });

    it.each([
      ['mid-stream', 'slow', (call: HttpCall) => call.until('event: start')],
      ['before the first token', 'wait-first', () => sleep(200)],
      ['before upstream answers', 'wait-headers', () => sleep(200)],
    ])("tells upstream of a client's leaving %s", async (_when, model, ready) => {
      const call = ask(balancer.port, model);
      const request = await upstream.next();
      await ready(call);
      const leftAt = performance.now();
      call.end();
      await request.closed;
      expect(performance.now() - leftAt).toBeLessThan(1_000);
      expect(request.closedEarly).toBe(true);
    });

    it('resumes on the other instance without a lost letter', async () => {
      const model = 'text_tokens-100_ms-20';
      const call = ask(balancer.port, model, GRACE);
      const id = await runIdOf(call);
      await call.until(/"content"[^]*"content"[^]*"content"/);
      const before = eventsOf(call).filter((event) => event.id !== '');
      const after = Number(before.at(-1)!.id.split(':')[1]);
      // Whichever of these is first, one of two neighbours is not where the run is.
      const resumed = [view(balancer.port, id, { after }), view(balancer.port, id, { after })];
      call.destroy();
      for (const one of resumed) {
        expect(await one.ended).toBe('complete');
        const text = textOfEvents([...before, ...eventsOf(one)]);
        expect(text).toBe(textOf(100));
      }
      const served = await Promise.all(
        instances.map(async (one) => {
          const lines = () => one.log().filter((line) => line.run_id === id);
          await eventually(() => expect(lines().length).toBeGreaterThan(0));
          return lines().length;
        }),
      );
      expect(served.every((count) => count > 0)).toBe(true);
      expect(upstream.requests).toHaveLength(1);
    });

    it('restarts one after the other and loses no token of streams that end within the drain', async () => {
      const short = 'text_tokens-60_ms-50';
      const restart = async (index: 0 | 1) => {
        const { process } = instances[index];
        const exited = once(process, 'exit');
        process.kill('SIGTERM');
        const [code] = (await exited) as [number | null];
        expect(code).toBe(0);
        instances[index] = await instance(ports[index]);
      };
      const calls = Array.from({ length: 100 }, () => ask(balancer.port, short));
      await Promise.all(calls.map((call) => call.until('event: start', 20_000)));
      const long = Array.from({ length: 4 }, () => ask(balancer.port, 'slow_tokens-2000_ms-100'));
      await Promise.all(long.map((call) => call.until('event: start')));

      await restart(0);
      // What began while the first was away, and goes on while the second is.
      const others = Array.from({ length: 20 }, () => ask(balancer.port, short));
      await Promise.all(others.map((call) => call.until('event: start', 20_000)));
      await restart(1);

      for (const call of [...calls, ...others]) {
        expect(await call.ended).toBe('complete');
        const events = eventsOf(call);
        expect(events.at(-1)).toMatchObject({ event: 'done' });
        expect(textOfEvents(events)).toBe(textOf(60));
      }
      for (const call of long) {
        expect(await call.ended).toBe('complete');
        const last = eventsOf(call).at(-1)!;
        expect(last.event).toBe('error');
        expect(JSON.parse(last.data)).toMatchObject({ code: 'shutting_down', retryable: true });
      }
    }, 90_000);

    if (name === 'nginx') {
      it('carries many streams on one connection of HTTP/2', async () => {
        const session = connect(`https://localhost:${balancer.tlsPort}`, {
          rejectUnauthorized: false,
        });
        const texts = await Promise.all(
          Array.from({ length: 20 }, async () => {
            const stream = session.request({
              ':path': '/v1/chat/stream?q=hi&model=text_ms-20&format=plain',
            });
            stream.setEncoding('utf8');
            let text = '';
            stream.on('data', (data: string) => (text += data));
            await once(stream, 'end');
            return text;
          }),
        );
        session.close();
        expect(new Set(texts).size).toBe(1);
        expect(texts[0]).not.toBe('');
      });
    }
  });
});
