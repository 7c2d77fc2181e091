import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { startApp, type RunningApp } from '../support/app.js';
import { parseSse } from '../support/sse.js';

describe('a server without any configuration', () => {
  let server: RunningApp;
  beforeAll(async () => {
    server = await startApp();
  });
  afterAll(() => server.close());

  it('streams the demo over POST and ends in done', async () => {
    const response = await request(server.url)
      .post('/v1/chat/stream')
      .send({ messages: [{ role: 'user', content: 'やっほ' }], model: 'demo/echo' })
      .expect(200)
      .expect('content-type', 'text/event-stream');
    const { events } = parseSse(response.text);
    expect(events.map(({ event }) => event)).toEqual(['start', 'message', 'message', 'done']);
  });
});

describe('a dialect that shows nothing of what goes on', () => {
  it('has heartbeats all the same, as text has while a model reasons', async () => {
    const server = await startApp({ HEARTBEAT_MS: 100 });
    const query = { q: 'hi', model: 'demo/reasoning', format: 'text' };
    const response = await request(server.url).get('/v1/chat/stream').query(query);
    await server.close();
    expect(response.text.split('data: ')[0]).toContain(': ping\n\n');
  });
});
