import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { open, type HttpCall, type OpenOptions } from '../support/http.js';
import { answerOf, runIdOf, settled, stateOf, view } from '../support/runs.js';
import { parseSse, withoutHeartbeats } from '../support/sse.js';
import { describeStores, type Cluster } from '../support/stores.js';
import { TEXT, TEXT_TOKENS, startUpstream, type Upstream } from '../support/upstream/index.js';

type Part = { type: string } & Record<string, unknown>;

const ALICE = { authorization: 'Bearer sk-alice' };
const BOB = { authorization: 'Bearer sk-bob' };

let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.reset());
afterAll(() => upstream.close());

const question = { id: 'm-1', role: 'user', parts: [{ type: 'text', text: 'hi' }] };

interface SendOptions {
  id?: string;
  policy?: string;
  headers?: Record<string, string>;
  path?: string;
  messages?: object[];
}

/** What `useChat` sends. */
function send(
  port: number,
  model: string,
  { id, policy, headers = ALICE, path = '/v1/chat/ui', messages = [question] }: SendOptions = {},
): HttpCall {
  return open({
    port,
    path,
    headers: { ...headers, ...(policy !== undefined && { 'sluice-on-disconnect': policy }) },
    body: { id, model, messages, trigger: 'submit-message' },
  });
}

function of(
  port: number,
  id: string,
  action: 'stream' | 'stop',
  options: Partial<OpenOptions> = {},
) {
  const method = action === 'stop' ? 'POST' : 'GET';
  return open({ port, method, path: `/v1/chat/ui/${id}/${action}`, headers: ALICE, ...options });
}

function partsOf(call: HttpCall): Part[] {
  return parseSse(call.text())
    .events.filter(({ data }) => data !== '[DONE]')
    .map(({ data }) => JSON.parse(data) as Part);
}

function textOf(call: HttpCall): string {
  return partsOf(call)
    .filter(({ type }) => type === 'text-delta')
    .map(({ delta }) => String(delta))
    .join('');
}

describeStores('the UI message stream', (store) => {
  let cluster: Cluster;
  let here: number;
  let there: number;
  beforeAll(async () => {
    cluster = await store.start({
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      DEMO: 'on',
      API_KEYS: 'alice:sk-alice,bob:sk-bob',
      HEARTBEAT_MS: 50,
    });
    here = cluster.here.port;
    there = cluster.there.port;
  });
  afterAll(() => cluster.close());

  it.each(['/v1/chat/ui', '/api/chat'])(
    'answers at %s, with its header and [DONE]',
    async (path) => {
      const call = send(here, 'text', { path });

      expect(await call.ended).toBe('complete');
      expect(await call.status).toBe(200);
      expect(await call.headers).toMatchObject({
        'content-type': 'text/event-stream; charset=utf-8',
        'x-vercel-ai-ui-message-stream': 'v1',
        'x-accel-buffering': 'no',
      });
      const parts = partsOf(call);
      expect(parts[0]).toEqual({
        type: 'start',
        messageId: await runIdOf(call),
        messageMetadata: { runId: await runIdOf(call), model: 'openai/text' },
      });
      expect(textOf(call)).toBe(TEXT);
      expect(parts.at(-1)).toMatchObject({ type: 'finish', finishReason: 'stop' });
      expect(call.text().endsWith('\n\ndata: [DONE]\n\n')).toBe(true);
    },
  );

  it.each(['/v1/chat/stream', '/v1/chat/completions'])('leaves %s as it was', async (path) => {
    const messages = [{ role: 'user', content: 'hi' }];
    const call = open({ port: here, path, headers: ALICE, body: { model: 'text', messages } });
    expect((await answerOf(call)).status).toBe(200);
  });

  it("leaves Ollama's clients their /api/chat", async () => {
    const messages = [{ role: 'user', content: 'hi' }];
    const body = { model: 'text', messages, stream: false };
    const answer = await answerOf<{ done: boolean }>(
      open({ port: here, path: '/api/chat', headers: ALICE, body }),
    );
    expect(answer.body).toMatchObject({ done: true });
  });

  it('ends with an error that a person can read where upstream fails', async () => {
    const call = send(here, 'error-mid');

    expect(await call.ended).toBe('complete');
    expect(textOf(call)).toBe(TEXT_TOKENS.slice(0, 3).join(''));
    const { type, errorText } = partsOf(call).at(-1)!;
    expect(type).toBe('error');
    expect(errorText).toMatch(/^[A-Z].*\.$/);
    expect(call.text()).not.toContain('[DONE]');
  });

  it('is refused in plain words before the first byte', async () => {
    const refused = async (call: HttpCall) => {
      const { status, headers, body } = await answerOf<string>(call);
      expect(headers['content-type']).toBe('text/plain; charset=utf-8');
      return `${status} ${body}`;
    };
    const stranger = { headers: { authorization: 'Bearer sk-mallory' } };

    expect(await refused(send(here, 'demo/error'))).toBe('502 demo/error is never available.');
    for (const path of ['/v1/chat/ui', '/api/chat']) {
      const broken = { path, messages: [{ id: 'm', role: 'user', parts: [{ type: 'text' }] }] };
      expect(await refused(send(here, 'text', broken))).toBe(
        '400 messages.0.parts.0: expected a part of a UI message',
      );
    }
    const silent = { messages: [{ id: 'm', role: 'assistant', parts: [] }] };
    expect(await refused(send(here, 'text', silent))).toBe(
      '400 messages: expected one that says something',
    );
    const wrong = '401 The API key is missing or wrong.';
    expect(await refused(send(here, 'text', { path: '/v1/chat/ui', ...stranger }))).toBe(wrong);
    expect(await refused(of(here, 'c', 'stream', stranger))).toBe(wrong);
    // Whose client it is would be in the body, which is not read.
    const { status, body } = await answerOf(send(here, 'text', { path: '/api/chat', ...stranger }));
    expect([status, body]).toEqual([401, { error: 'The API key is missing or wrong.' }]);
  });

  it('replays the whole message of a live chat, then goes on, on every instance', async () => {
    const first = send(here, 'slow_tokens-12_ms-50', { id: 'resumed', policy: 'grace=5' });
    await first.until('text-delta');
    first.destroy();

    const again = of(there, 'resumed', 'stream');
    expect(await again.ended).toBe('complete');
    expect((await again.headers)['x-vercel-ai-ui-message-stream']).toBe('v1');
    expect(partsOf(again)[0]).toEqual(partsOf(first)[0]);
    expect(textOf(again)).toBe(TEXT_TOKENS.slice(0, 12).join(''));
    const [seen, replayed] = [first, again].map((call) => withoutHeartbeats(call.text()));
    expect(replayed!.startsWith(seen!.slice(0, seen!.lastIndexOf('\n\n')))).toBe(true);
    expect(upstream.requests).toHaveLength(1);
  });

  it('keeps the id of a message that goes on, on resume too', async () => {
    const tool = {
      type: 'tool-f',
      toolCallId: 'c',
      state: 'output-available',
      input: {},
      output: 1,
    };
    const messages = [question, { id: 'a-1', role: 'assistant', parts: [tool] }];
    const first = send(here, 'stall', { id: 'continued', policy: 'grace=5', messages });
    await first.until('text-delta');
    const again = of(there, 'continued', 'stream');
    await again.until('text-delta');

    for (const call of [first, again]) expect(call.text()).toContain('"messageId":"a-1"');
    await of(here, 'continued', 'stop').ended;
  });

  it('has nothing to resume in a chat that is over, was never, or is of another key', async () => {
    await send(here, 'text', { id: 'over' }).ended;
    const call = send(here, 'stall', { id: 'mine' });
    await call.until('text-delta');

    // The other instance hears of an end a moment later.
    await eventually(async () => {
      expect((await answerOf(of(there, 'over', 'stream'))).status).toBe(204);
    });
    expect((await answerOf(of(there, 'never', 'stream'))).status).toBe(204);
    expect((await answerOf(of(there, 'mine', 'stream', { headers: BOB }))).status).toBe(204);
    await answerOf(of(there, 'mine', 'stop', { headers: BOB }));
    expect((await stateOf(here, await runIdOf(call), ALICE)).body.status).toBe('running');
    call.destroy();
  });

  it.each(['/v1/chat/ui', '/api/chat'])('stops a chat at %s/:id/stop', async (path) => {
    const call = send(here, 'stall', { id: 'stopped', path, policy: 'continue' });
    await call.until('text-delta');
    const request = await upstream.next();

    const stop = await answerOf(of(there, 'stopped', 'stop', { path: `${path}/stopped/stop` }));
    expect(stop).toMatchObject({ status: 200, body: { success: true } });
    await request.closed;
    expect(request.closedEarly).toBe(true);
    expect(await call.ended).toBe('complete');
    expect(partsOf(call).at(-1)).toEqual({ type: 'abort', reason: 'The run was cancelled.' });

    const again = await answerOf(of(there, 'stopped', 'stop'));
    expect(again).toMatchObject({ status: 200, body: { success: true } });
  });

  it('does not stop a run that another has taken over from', async () => {
    const call = send(here, 'stall', { id: 'late-stop' });
    await call.until('text-delta');
    const body = { activeStreamId: 'run_0123456789abcdef0123456789abcdef' };

    await answerOf(of(there, 'late-stop', 'stop', { body }));
    expect((await stateOf(here, await runIdOf(call), ALICE)).body.status).toBe('running');
    await answerOf(
      of(there, 'late-stop', 'stop', { body: { activeStreamId: await runIdOf(call) } }),
    );
    await call.ended;
    expect(partsOf(call).at(-1)).toMatchObject({ type: 'abort' });
  });

  it('stops what a chat still generates when a new message comes, on whichever instance', async () => {
    const old = send(here, 'stall', { id: 'busy', policy: 'continue' });
    await old.until('text-delta');
    const request = await upstream.next();
    const other = send(here, 'stall', { id: 'busy', headers: BOB });
    await other.until('text-delta');

    const next = send(there, 'text', { id: 'busy' });
    await request.closed;
    expect(request.closedEarly).toBe(true);
    expect(await old.ended).toBe('complete');
    expect(partsOf(old).at(-1)).toMatchObject({ type: 'abort' });
    await next.ended;
    expect(textOf(next)).toBe(TEXT);
    expect((await stateOf(here, await runIdOf(other), BOB)).body.status).toBe('running');
    other.destroy();
  });

  it('goes on when the message before comes again, with its key', async () => {
    const earlier = { id: 'again', headers: { ...ALICE, 'idempotency-key': 'first' } };
    const first = send(here, 'text', earlier);
    await first.ended;
    const newer = send(here, 'stall', { id: 'again', policy: 'continue' });
    await newer.until('text-delta');

    for (const port of [here, there]) {
      const replay = send(port, 'text', earlier);
      expect(await replay.ended).toBe('complete');
      expect(await runIdOf(replay)).toBe(await runIdOf(first));
      const active = of(port, 'again', 'stream');
      await active.until('text-delta');
      expect(await runIdOf(active)).toBe(await runIdOf(newer));
      active.destroy();
    }
    await of(here, 'again', 'stop').ended;
  });

  it('stops the generation when its page leaves, unless told otherwise', async () => {
    const call = send(here, 'stall', { id: 'left' });
    await call.until('text-delta');
    const request = await upstream.next();
    const id = await runIdOf(call);
    call.destroy();

    await request.closed;
    expect(request.closedEarly).toBe(true);
    expect(await settled(here, id, ALICE)).toMatchObject({ status: 'cancelled' });
  });

  it('shows a silence as comments', async () => {
    const call = send(here, 'stall');
    await call.until('text-delta');
    await call.until(/\n\n: ping\n\n: ping\n\n$/);
    call.destroy();
  });

  it('is a format of the native routes', async () => {
    const messages = [{ role: 'user', content: 'hi' }];
    const call = open({
      port: here,
      path: '/v1/chat/stream?format=ui',
      headers: ALICE,
      body: { model: 'text', messages },
    });
    await call.ended;
    const replay = view(there, await runIdOf(call), { query: 'format=ui', headers: ALICE });
    await replay.ended;

    expect(textOf(call)).toBe(TEXT);
    expect(withoutHeartbeats(replay.text())).toBe(withoutHeartbeats(call.text()));
    expect((await replay.headers)['x-vercel-ai-ui-message-stream']).toBe('v1');
  });
});
