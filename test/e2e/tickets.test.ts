import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { createConfigFile, type TestConfigFile } from '../support/config-file.js';
import { open, type HttpCall } from '../support/http.js';
import {
  answerOf,
  ask,
  cancel,
  eventsOf,
  runIdOf,
  stateOf,
  textOfEvents,
} from '../support/runs.js';
import { describeStores, type Cluster } from '../support/stores.js';
import { startUpstream, TEXT, TEXT_TOKENS, type Upstream } from '../support/upstream/index.js';

const ANN = { authorization: 'Bearer sk-ann' };
const BOB = { authorization: 'Bearer sk-bob' };

const CONFIG = `
keys:
  - { name: ann, key: sk-ann }
  - { name: bob, key: sk-bob, models: ['slow*'] }
`;

let upstream: Upstream;
let file: TestConfigFile;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.reset());
afterAll(() => upstream.close());

describeStores('a ticket', (store) => {
  let cluster: Cluster;
  let here: number;
  let there: number;

  beforeAll(async () => {
    file = await createConfigFile(CONFIG);
    cluster = await store.start({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      CONFIG_FILE: file.path,
      HOST: '0.0.0.0',
    });
    [here, there] = [cluster.here.port, cluster.there.port];
  });
  beforeEach(() => file.reload(CONFIG, ...cluster.instances));
  afterAll(async () => {
    await cluster.close();
    await file.remove();
  });

  async function issue(headers: Record<string, string> = ANN): Promise<string> {
    const call = open({ port: here, method: 'POST', path: '/v1/tickets', headers });
    const { status, body } = await answerOf<{ ticket: string }>(call);
    expect(status).toBe(201);
    return body.ticket;
  }

  function start(port: number, ticket: string, model = 'text', rest = ''): HttpCall {
    return open({ port, path: `/v1/chat/stream?q=hi&model=${model}&ticket=${ticket}${rest}` });
  }

  function view(port: number, id: string, ticket: string, after?: number): HttpCall {
    const headers = after === undefined ? undefined : { 'last-event-id': `${id}:${after}` };
    return open({ port, path: `/v1/runs/${id}/events?ticket=${ticket}`, headers });
  }

  it('is given to who has a key, and is not for caches', async () => {
    const call = open({ port: here, method: 'POST', path: '/v1/tickets', headers: ANN });
    const { status, headers, body } = await answerOf<unknown>(call);
    expect(status).toBe(201);
    expect(headers['cache-control']).toBe('no-store');
    expect(body).toEqual({ ticket: expect.stringMatching(/^ticket_[\w-]{43}$/), expires_in: 60 });
    const strange = open({ port: here, method: 'POST', path: '/v1/tickets' });
    expect((await answerOf(strange)).status).toBe(401);
  });

  it.each(['here', 'there'] as const)(
    'starts a run of its owner’s, without a key, %s',
    async (at) => {
      const ticket = await issue();
      const call = start(cluster[at].port, ticket);
      expect(await call.ended).toBe('complete');
      expect(textOfEvents(eventsOf(call))).toBe(TEXT);
      const id = await runIdOf(call);
      expect((await stateOf(cluster[at].port, id, ANN)).body.status).toBe('completed');
      expect((await stateOf(cluster[at].port, id, BOB)).status).toBe(404);
    },
  );

  it.each<[string, (ticket: string) => string]>([
    ['after', (ticket) => `q=Who are you?&model=text_tokens-3&ticket=${ticket}`],
    ['before', (ticket) => `ticket=${ticket}&q=Who are you?&model=text_tokens-3`],
  ])('is found %s a question with its mark, of which nothing gets lost', async (_, query) => {
    const path = `/v1/chat/stream?${query(await issue())}`.replaceAll(' ', '%20');
    const call = open({ port: here, path });
    expect(await call.ended).toBe('complete');
    expect(textOfEvents(eventsOf(call))).toBe(TEXT_TOKENS.slice(0, 3).join(''));
    expect(upstream.requests[0]!.body.messages![0]!.content).toBe('Who are you?');
  });

  it('starts one run, however often and wherever it is used', async () => {
    const ticket = await issue();
    const model = 'slow_tokens-8_ms-50';
    const calls = [here, there, here, there].map((port) => start(port, ticket, model));
    await Promise.all(calls.map(({ ended }) => ended));
    const ids = await Promise.all(calls.map(runIdOf));
    expect(new Set(ids).size).toBe(1);
    expect(upstream.requests).toHaveLength(1);
    // Its run is over, and is shown again.
    for (const port of [here, there]) {
      const again = start(port, ticket, model);
      expect(await again.ended).toBe('complete');
      expect(again.text()).toBe(calls[0]!.text());
    }
    expect(upstream.requests).toHaveLength(1);
  });

  it.each([
    ['rst-mid', 'error'],
    ['stall', 'cancelled'],
  ])('starts no other run when its run with %s has ended with %s', async (model, end) => {
    const ticket = await issue();
    const call = start(here, ticket, model);
    await call.until('data: {"content"');
    const id = await runIdOf(call);
    if (end === 'cancelled') await cancel(here, id, ANN);
    await call.ended;
    expect(eventsOf(call).at(-1)?.event).toBe(end);
    for (const port of [here, there]) {
      const again = start(port, ticket, model);
      await again.ended;
      expect(again.text()).toBe(call.text());
    }
    expect(upstream.requests).toHaveLength(1);
  });

  it('starts no other run when its run was forgotten', async () => {
    const ticket = await issue();
    const call = start(here, ticket);
    await call.ended;
    const path = `/v1/runs/${await runIdOf(call)}`;
    await open({ port: here, method: 'DELETE', path, headers: ANN }).ended;
    for (const port of [here, there]) {
      const { status, body } = await answerOf(start(port, ticket));
      expect([status, body.error.code]).toEqual([404, 'run_not_found']);
    }
    expect(upstream.requests).toHaveLength(1);
  });

  it('is its request’s idempotency key: another request with it is refused', async () => {
    const ticket = await issue();
    await start(here, ticket).ended;
    for (const port of [here, there]) {
      const { status, body } = await answerOf(start(port, ticket, 'text_tokens-3'));
      expect([status, body.error.code]).toEqual([422, 'idempotency_mismatch']);
    }
    // And so is one that brings a key of its own.
    const again = start(there, ticket, 'text', '&idempotency_key=other');
    expect(await again.status).toBe(200);
    expect(upstream.requests).toHaveLength(1);
  });

  it.each(['here', 'there'] as const)('resumes its run %s, at both addresses', async (at) => {
    const ticket = await issue();
    const first = start(here, ticket, 'slow_tokens-12_ms-50', '&on_disconnect=grace=5');
    await first.until(':4\n');
    first.destroy();
    const id = await runIdOf(first);
    const { port } = cluster[at];
    const viewed = view(port, id, ticket, 4);
    const again = open({
      port,
      path: `/v1/chat/stream?q=hi&ticket=${ticket}`,
      headers: { 'last-event-id': `${id}:4` },
    });
    for (const call of [viewed, again]) {
      expect(await call.ended).toBe('complete');
      const events = eventsOf(call);
      expect(events[0]?.id).toBe(`${id}:5`);
      expect(textOfEvents(events)).toBe(TEXT_TOKENS.slice(3, 12).join(''));
    }
    expect(upstream.requests).toHaveLength(1);
  });

  it('that started nothing views one run of its owner’s, and then that alone', async () => {
    const [one, other] = await Promise.all(
      ['text', 'text_tokens-3'].map(async (model) => {
        const call = ask(here, model, { headers: ANN });
        await call.ended;
        return runIdOf(call);
      }),
    );
    const ticket = await issue();
    for (const port of [here, there, here]) {
      const call = view(port, one!, ticket);
      expect(await call.ended).toBe('complete');
      expect(textOfEvents(eventsOf(call))).toBe(TEXT);
      expect((await answerOf(view(port, other!, ticket))).status).toBe(404);
    }
  });

  it('that was first used to view a run starts none', async () => {
    const call = ask(here, 'text', { headers: ANN });
    await call.ended;
    const id = await runIdOf(call);
    const ticket = await issue();
    await view(here, id, ticket).ended;
    for (const port of [here, there]) {
      const { status, body } = await answerOf(start(port, ticket));
      expect([status, body.error.code]).toEqual([404, 'run_not_found']);
      // It is as good for viewing as before.
      const again = view(port, id, ticket);
      expect(await again.ended).toBe('complete');
      expect(textOfEvents(eventsOf(again))).toBe(TEXT);
    }
    expect(upstream.requests).toHaveLength(1);
  });

  it('that was used to view the run that it started finds that run again', async () => {
    const ticket = await issue();
    const call = start(here, ticket);
    await call.ended;
    await view(there, await runIdOf(call), ticket).ended;
    for (const port of [here, there]) {
      const again = start(port, ticket);
      await again.ended;
      expect(again.text()).toBe(call.text());
    }
    expect(upstream.requests).toHaveLength(1);
  });

  it('does not view what is not its owner’s', async () => {
    const call = ask(here, 'text', { headers: ANN });
    await call.ended;
    const ticket = await issue(BOB);
    const { status, body } = await answerOf(view(here, await runIdOf(call), ticket));
    expect([status, body.error.code]).toEqual([404, 'run_not_found']);
  });

  it('may ask for no other models than its owner', async () => {
    const ticket = await issue(BOB);
    const { status, body } = await answerOf(start(there, ticket));
    expect([status, body.error.code]).toEqual([403, 'permission_denied']);
    // It is not used up by that.
    expect(await start(there, ticket, 'slow_tokens-2').status).toBe(200);
  });

  it('opens nothing else', async () => {
    const ticket = await issue();
    const call = start(here, ticket);
    await call.ended;
    const id = await runIdOf(call);
    for (const [method, path] of [
      ['POST', '/v1/chat/stream'],
      ['POST', '/v1/chat/completions'],
      ['POST', '/v1/tickets'],
      ['GET', '/v1/models'],
      ['GET', '/v1/runs'],
      ['GET', `/v1/runs/${id}`],
      ['POST', `/v1/runs/${id}/cancel`],
      ['DELETE', `/v1/runs/${id}`],
    ] as const) {
      const { status } = await answerOf(
        open({ port: here, method, path: `${path}?ticket=${ticket}` }),
      );
      expect([path, status]).toEqual([path, 401]);
    }
    const bearer = { authorization: `Bearer ${ticket}` };
    expect((await answerOf(open({ port: here, path: '/v1/models', headers: bearer }))).status).toBe(
      401,
    );
  });

  it.each(['', 'wrong', `ticket_${'A'.repeat(43)}`, 'ticket_..%2f', 'sk-ann'])(
    'is refused as %j, also beside a key that is good',
    async (ticket) => {
      for (const headers of [{}, ANN]) {
        const path = `/v1/chat/stream?q=hi&ticket=${ticket}`;
        const {
          status,
          headers: answered,
          body,
        } = await answerOf(open({ port: here, path, headers }));
        expect([status, body.error.code]).toEqual([401, 'invalid_api_key']);
        expect(answered['www-authenticate']).toBe('Bearer');
      }
      expect(upstream.requests).toEqual([]);
    },
  );

  it('is no longer good when the key is gone that it was given to', async () => {
    const ticket = await issue();
    const used = await issue();
    const call = start(here, used);
    await call.ended;
    const id = await runIdOf(call);
    await file.reload('keys: [{ name: ann, key: sk-new }]', ...cluster.instances);
    for (const port of [here, there]) {
      expect((await answerOf(start(port, ticket))).status).toBe(401);
      expect((await answerOf(view(port, id, used))).status).toBe(401);
    }
  });

  it('holds whoever views a run with it, as a key does', async () => {
    const ticket = await issue();
    const call = start(there, ticket, 'stall');
    await call.until('data: {"content"');
    call.destroy();
    await upstream.requests[0]!.closed;
    expect(upstream.requests[0]!.closedEarly).toBe(true);
  });
});
