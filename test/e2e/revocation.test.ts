import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMIT_STORE, type LimitStore } from '../../src/limits/limit-store.js';
import { startApp, type RunningApp } from '../support/app.js';
import { createConfigFile, type TestConfigFile } from '../support/config-file.js';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall } from '../support/http.js';
import {
  answerOf,
  ask,
  cancel,
  eventsOf,
  runIdOf,
  settled,
  stateOf,
  view,
} from '../support/runs.js';
import { describeStores, type Cluster } from '../support/stores.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

const as = (key: string) => ({ authorization: `Bearer sk-${key}` });

const BOB = '{ name: bob, key: sk-bob }';
const ALL = `keys: [{ name: ann, key: sk-ann }, ${BOB}]`;
const WITHOUT_ANN = `keys: [${BOB}]`;
const ANN_ROTATED = `keys: [{ name: ann, key: sk-ann2 }, ${BOB}]`;
const ANN_ROTATING = `keys: [{ name: ann, key: [sk-ann, sk-ann2] }, ${BOB}]`;
const ANN_NARROWED = `keys: [{ name: ann, key: sk-ann, models: [text] }, ${BOB}]`;
const ANN_LIMITED = `keys: [{ name: ann, key: sk-ann, limits: { tokens_per_day: 9 } }, ${BOB}]`;

/** Goes on until somebody stops it. */
const MODEL = 'stall';

const REMOVED = 'The key that this was asked for with is no longer valid.';
const NARROWED = 'The key that this was asked for with may no longer use this model.';

let upstream: Upstream;
let file: TestConfigFile;

beforeAll(async () => {
  upstream = await startUpstream();
  file = await createConfigFile(ALL);
});
beforeEach(() => file.write(ALL));
afterEach(() => upstream.reset());
afterAll(async () => {
  await upstream.close();
  await file.remove();
});

const env = () => ({ OPENAI_BASE_URL: `${upstream.url}/v1`, CONFIG_FILE: file.path });

/** Starts a run, and waits until it is under way. */
async function started(port: number, key: string, headers: Record<string, string> = {}) {
  const call = ask(port, MODEL, { headers: { ...as(key), ...headers } });
  await call.until('data: {"content"');
  return { call, id: await runIdOf(call), request: upstream.requests.at(-1)! };
}

async function endOf(call: HttpCall): Promise<unknown> {
  expect(await call.ended).toBe('complete');
  const { event, data } = eventsOf(call).at(-1)!;
  return { event, ...(JSON.parse(data) as object) };
}

const refused = (message: string) =>
  expect.objectContaining({ event: 'error', code: 'permission_denied', message, retryable: false });

describeStores('a key that a reload removes', (store) => {
  let cluster: Cluster;
  let here: number;
  let there: number;

  beforeAll(async () => {
    await file.write(ALL);
    cluster = await store.start(env());
    [here, there] = [cluster.here.port, cluster.there.port];
  });
  beforeEach(() => file.reload(ALL, ...cluster.instances));
  afterAll(() => cluster.close());

  const reload = (text: string) => file.reload(text, ...cluster.instances);

  it('ends its runs, for all their viewers and upstream, and no others', async () => {
    const ann = await started(here, 'ann');
    const elsewhere = view(there, ann.id, { headers: as('ann') });
    await elsewhere.until('data: {"content"');
    const bob = await started(there, 'bob');
    await reload(WITHOUT_ANN);

    for (const call of [ann.call, elsewhere]) expect(await endOf(call)).toEqual(refused(REMOVED));
    // It is the run's own end, with its number and its usage.
    const [last, end] = eventsOf(ann.call).slice(-2);
    expect(end!.id).toBe(`${ann.id}:${Number(last!.id.split(':')[1]) + 1}`);
    expect(JSON.parse(end!.data)).toMatchObject({ usage: { source: expect.any(String) } });
    await ann.request.closed;
    expect(ann.request.closedEarly).toBe(true);
    expect((await stateOf(here, ann.id, as('ann'))).status).toBe(401);
    expect((await stateOf(there, bob.id, as('bob'))).body.status).toBe('running');
    expect(bob.request.closedEarly).toBe(false);
    bob.call.destroy();
    await bob.request.closed;
  });

  it('ends its runs that nobody views', async () => {
    const { call, id, request } = await started(here, 'ann', {
      'sluice-on-disconnect': 'continue',
    });
    call.destroy();
    await reload(WITHOUT_ANN);
    await request.closed;
    // Its owner comes back with another key.
    await reload(ANN_ROTATED);
    const { status, error } = await settled(here, id, as('ann2'));
    expect([status, error]).toEqual([
      'failed',
      { code: 'permission_denied', message: REMOVED, retryable: false },
    ]);
  });

  it('ends its views on an instance that has read the file, before the run’s own has', async () => {
    const { call, id, request } = await started(here, 'ann');
    const elsewhere = view(there, id, { headers: as('ann') });
    await elsewhere.until('data: {"content"');
    await file.reload(WITHOUT_ANN, cluster.there);
    expect(await endOf(elsewhere)).toEqual(refused(REMOVED));
    if (cluster.here !== cluster.there) {
      expect(call.text()).not.toContain('event: error');
      expect(request.closedEarly).toBe(false);
      await file.reload(WITHOUT_ANN, cluster.here);
    }
    expect(await endOf(call)).toEqual(refused(REMOVED));
    await request.closed;
  });

  it('is one that has another value, under the same name', async () => {
    const { call, request } = await started(here, 'ann');
    await reload(ANN_ROTATED);
    expect(await endOf(call)).toEqual(refused(REMOVED));
    await request.closed;
  });

  it('is none while it stands beside its successor, who has the same runs', async () => {
    const { call, id, request } = await started(here, 'ann');
    await reload(ANN_ROTATING);
    const other = view(there, id, { headers: as('ann2') });
    await other.until('data: {"content"');
    expect(call.text()).not.toContain('event: error');
    await reload(ANN_ROTATED);
    // The run was started with the old one.
    for (const each of [call, other]) expect(await endOf(each)).toEqual(refused(REMOVED));
    await request.closed;
  });

  it('ends the view alone, of a run that another key of its owner’s has started', async () => {
    await reload(ANN_ROTATING);
    const { call, id, request } = await started(here, 'ann2');
    const old = view(there, id, { headers: as('ann') });
    await old.until('data: {"content"');
    await reload(ANN_ROTATED);
    expect(await endOf(old)).toEqual(refused(REMOVED));
    // It has no number of its own: the run has no such event.
    const [last, end] = eventsOf(old).slice(-2);
    expect(end!.id).toBe(last!.id);
    expect(call.text()).not.toContain('event: error');
    call.destroy();
    await request.closed;
  });

  it('ends the views of its tickets', async () => {
    const issued = open({ port: here, method: 'POST', path: '/v1/tickets', headers: as('ann') });
    const { ticket } = (await answerOf<{ ticket: string }>(issued)).body;
    const path = `/v1/chat/stream?q=hi&model=${MODEL}&ticket=${ticket}`;
    const call = open({ port: there, path });
    await call.until('data: {"content"');
    await reload(WITHOUT_ANN);
    expect(await endOf(call)).toEqual(refused(REMOVED));
  });

  it('ends what goes on with a model that it may no longer use', async () => {
    const { call, id, request } = await started(here, 'ann');
    const elsewhere = view(there, id, { headers: as('ann') });
    await elsewhere.until('data: {"content"');
    await reload(ANN_NARROWED);
    for (const each of [call, elsewhere]) expect(await endOf(each)).toEqual(refused(NARROWED));
    await request.closed;
    expect((await stateOf(here, id, as('ann'))).body.status).toBe('failed');
  });

  it('ends nothing when it was left as it was, or has other limits', async () => {
    const { call, request } = await started(here, 'ann');
    for (const text of [ALL, `# a comment\n${ALL}`, ANN_LIMITED, 'not: [valid']) await reload(text);
    expect(
      (await answerOf(open({ port: here, path: '/v1/models', headers: as('ann') }))).status,
    ).toBe(200);
    expect(call.text()).not.toContain('event: error');
    call.destroy();
    await request.closed;
  });
});

describeStores('a default model that a reload changes', (store) => {
  it('takes no run from a key that may not use the new one', async () => {
    const provider = { type: 'openai', base_url: `${upstream.url}/v1`, models: [MODEL] };
    const keys = [{ name: 'ann', key: 'sk-ann', models: ['groq*'] }];
    await file.write({ providers: { groq: provider }, keys });
    const cluster = await store.start({ CONFIG_FILE: file.path });
    const { here, there, instances } = cluster;
    const askDefault = () => ask(here.port, MODEL, { headers: as('ann'), body: { model: null } });
    const call = askDefault();
    await call.until('data: {"content"');
    const id = await runIdOf(call);

    const changed = { providers: { other: provider, groq: provider }, keys };
    for (let times = 0; times < 2; times += 1) await file.reload(changed, ...instances);
    const elsewhere = view(there.port, id, { headers: as('ann') });
    await elsewhere.until('data: {"content"');
    expect((await answerOf(askDefault())).status).toBe(403);

    await cancel(here.port, id, as('ann'));
    for (const each of [call, elsewhere]) {
      expect(await endOf(each)).toMatchObject({ event: 'cancelled' });
    }
    await cluster.close();
  });
});

describe('the end by a removed key', () => {
  let server: RunningApp;

  beforeEach(async () => {
    server = await startApp(env());
  });
  afterEach(() => server.close());

  const FORMATS: [path: string, body: object, end: RegExp][] = [
    ['/v1/chat/stream?format=text', {}, /event: error\n.*data: \{"code":"permission_denied"/s],
    ['/v1/chat/completions', { stream: true }, /data: \{"error":\{.*"code":"permission_denied"/],
    ['/api/chat', {}, /\{"error":"The key that this/],
    ['/v1/messages', { max_tokens: 9, stream: true }, /event: error\n.*permission_error/],
    ['/v1/chat/stream?format=ui', {}, /"type":"error","errorText":"The key/],
  ];

  it.each(FORMATS)('is told in the words of %s', async (path, body, end) => {
    const call = ask(server.port, MODEL, { path, body, headers: as('ann') });
    await call.until(/\n/);
    await upstream.next();
    await file.reload(WITHOUT_ANN, server);
    expect(await call.ended).toBe('complete');
    expect(call.text()).toMatch(end);
  });

  it.each([
    ['before the first token', 'wait-first', 'stream'],
    ['of a whole answer', 'stall', 'whole'],
  ])('is a status %s', async (_, model, how) => {
    const path = how === 'whole' ? '/v1/chat/completions' : '/v1/chat/stream';
    const call = ask(server.port, model, { path, headers: as('ann') });
    const request = await upstream.next();
    await file.reload(WITHOUT_ANN, server);
    const { status, body } = await answerOf(call);
    expect([status, body.error]).toEqual([
      403,
      { message: REMOVED, type: 'permission_error', param: null, code: 'permission_denied' },
    ]);
    await request.closed;
  });

  it('comes for a run that nobody need view, also when it waits for its limits', async () => {
    await file.reload(ANN_LIMITED, server);
    const store = server.app.get<LimitStore>(LIMIT_STORE);
    const take = store.take.bind(store);
    jest.spyOn(store, 'take').mockImplementationOnce(async (taking) => {
      await file.reload(ANN_ROTATED, server);
      return take({ ...taking, tokens: 1 });
    });
    const headers = { ...as('ann'), 'sluice-on-disconnect': 'continue' };
    const { status } = await answerOf(ask(server.port, MODEL, { headers }));
    expect(status).toBe(403);
    const runs = open({ port: server.port, path: '/v1/runs', headers: as('ann2') });
    const { body } = await answerOf<{ data: { status: string }[] }>(runs);
    expect(body.data).toMatchObject([{ status: 'failed' }]);
    for (const { closed } of upstream.requests) await closed;
  });

  it('comes for a request whose body is still on its way', async () => {
    const body = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'hi' }] });
    const socket = connect(server.port, '127.0.0.1');
    let received = '';
    socket.on('data', (data) => (received += data.toString()));
    const head = ['POST /v1/chat/stream HTTP/1.1', 'Host: localhost', 'Api-Key: sk-ann'];
    const lengths = ['Content-Type: application/json', `Content-Length: ${body.length}`];
    socket.write([...head, ...lengths, '', body.slice(0, 5)].join('\r\n'));
    await sleep(200);
    await file.reload(WITHOUT_ANN, server);
    socket.write(body.slice(5));
    await eventually(() => expect(received).toMatch(/^HTTP\/1\.1 401 .*invalid_api_key/s));
    expect(upstream.requests).toEqual([]);
    socket.destroy();
  });
});

describe('the last key', () => {
  it('that goes away leaves nobody, and does not open the server', async () => {
    const server = await startApp(env());
    await file.reload('keys: []', server);
    for (const headers of [{}, as('ann')]) {
      const call = open({ port: server.port, path: '/v1/models', headers });
      expect((await answerOf(call)).status).toBe(401);
    }
    await file.reload(ALL, server);
    const call = open({ port: server.port, path: '/v1/models', headers: as('ann') });
    expect((await answerOf(call)).status).toBe(200);
    await server.close();
  });

  it('is no longer needed once there is a first one', async () => {
    await file.write('keys: []');
    const server = await startApp(env());
    const anybody = ask(server.port, MODEL);
    await anybody.until('data: {"content"');
    await file.reload(ALL, server);
    expect(await endOf(anybody)).toEqual(refused(REMOVED));
    expect((await answerOf(open({ port: server.port, path: '/v1/models' }))).status).toBe(401);
    await server.close();
  });
});
