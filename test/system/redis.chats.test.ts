import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall } from '../support/http.js';
import { describeRedis, startRedis, type RedisServer } from '../support/redis.js';
import { answerOf } from '../support/runs.js';
import { startUpstream, TEXT_TOKENS, type Upstream } from '../support/upstream/index.js';

const SPOKEN = JSON.stringify(TEXT_TOKENS[2]);

let upstream: Upstream;

function send(app: RunningApp, id: string): HttpCall {
  const messages = [{ id: 'm', role: 'user', parts: [{ type: 'text', text: 'hi' }] }];
  return open({
    port: app.port,
    path: '/v1/chat/ui',
    headers: { 'sluice-on-disconnect': 'continue' },
    body: { id, model: 'stall', messages },
  });
}

function resume(app: RunningApp, id: string): HttpCall {
  return open({ port: app.port, path: `/v1/chat/ui/${id}/stream` });
}

async function stop(app: RunningApp, id: string): Promise<number> {
  const call = open({ port: app.port, method: 'POST', path: `/v1/chat/ui/${id}/stop` });
  return (await answerOf(call)).status;
}

describeRedis('chats without Redis', () => {
  let redis: RedisServer;
  let a: RunningApp;
  let b: RunningApp;
  beforeAll(async () => {
    upstream = await startUpstream();
    redis = await startRedis();
    const env = { OPENAI_BASE_URL: `${upstream.url}/v1`, REDIS_URL: redis.url };
    a = await startApp(env);
    b = await startApp(env);
  });
  afterAll(async () => {
    await a.close();
    await b.close();
    await redis.close();
    await upstream.close();
  });

  it('should go on where they are generated, be refused elsewhere, and be found after it', async () => {
    const before = send(a, 'before');
    await before.until(SPOKEN);
    await redis.stop();

    const during = send(a, 'during');
    await during.until(SPOKEN);
    for (const id of ['before', 'during']) {
      const again = resume(a, id);
      await again.until(SPOKEN);
      again.destroy();
      const elsewhere = await answerOf<string>(resume(b, id));
      expect(elsewhere).toMatchObject({ status: 503, body: 'The run store is not available.' });
      expect(await stop(b, id)).toBe(503);
    }

    await redis.start();
    for (const id of ['before', 'during']) {
      await eventually(async () => expect(await stop(b, id)).toBe(200), 12_000);
    }
    for (const call of [before, during]) {
      expect(await call.ended).toBe('complete');
      expect(call.text()).toContain('"type":"abort"');
    }
  });
});
