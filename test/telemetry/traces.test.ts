import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Collector, type CollectedSpan } from '../support/collector.js';
import { eventually } from '../support/eventually.js';
import { open } from '../support/http.js';
import { startInstance, type Instance } from '../support/instances.js';
import { ask, runIdOf } from '../support/runs.js';
import { startUpstream, TEXT, type Upstream } from '../support/upstream/index.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const IN_TRACE = { traceparent: `00-${TRACE}-${CALLER}-01`, tracestate: 'vendor=value' };

let upstream: Upstream;
let collector: Collector;
let instance: Instance | undefined;

beforeAll(async () => {
  upstream = await startUpstream();
  collector = await Collector.start();
});
afterEach(async () => {
  await instance?.kill();
  collector.bodies.length = 0;
  upstream.reset();
});
afterAll(async () => {
  await upstream.close();
  await collector.close();
});

async function start(env: Record<string, string | number> = {}): Promise<Instance> {
  return (instance = await startInstance({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OPENAI_MODEL: 'text_tokens-20',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: 20,
    SHUTDOWN_DELAY_MS: 0,
    ...env,
  }));
}

/** The only span of this name, once it came. */
async function span(name: string): Promise<CollectedSpan> {
  let found: CollectedSpan[] = [];
  await eventually(() => {
    found = collector.spans().filter((each) => each.name === name);
    expect(found).toHaveLength(1);
  }, 10_000);
  return found[0]!;
}

describe('traces', () => {
  it('go on from the caller, through the run, to upstream', async () => {
    const { port } = await start();
    const call = ask(port, 'text_tokens-20', { headers: IN_TRACE, body: { temperature: 0.5 } });
    await call.ended;

    const server = await span('POST /v1/chat/stream');
    expect(server).toMatchObject({
      service: 'sluice',
      traceId: TRACE,
      parentSpanId: CALLER,
      traceState: 'vendor=value',
      kind: 2,
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/v1/chat/stream',
        'http.response.status_code': 200,
      },
    });
    const run = await span('chat text_tokens-20');
    expect(run).toMatchObject({ traceId: TRACE, parentSpanId: server.spanId, kind: 3 });
    expect(run.attributes).toEqual({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'text_tokens-20',
      'gen_ai.request.stream': true,
      'gen_ai.request.temperature': 0.5,
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.response.time_to_first_chunk': expect.any(Number),
      'gen_ai.usage.input_tokens': 9,
      'gen_ai.usage.output_tokens': 20,
      'gen_ai.usage.cache_read.input_tokens': 0,
      'gen_ai.usage.reasoning.output_tokens': 0,
      'sluice.run.id': await runIdOf(call),
      'sluice.run.status': 'completed',
    });
    const sent = await span('POST');
    expect(sent).toMatchObject({ traceId: TRACE, parentSpanId: run.spanId, kind: 3 });
    expect(sent.attributes).toEqual({
      'http.request.method': 'POST',
      'server.address': '127.0.0.1',
      'server.port': upstream.port,
      'url.full': `${upstream.url}/v1/chat/completions`,
      'http.response.status_code': 200,
    });
    expect(upstream.requests[0]!.headers).toMatchObject({
      traceparent: `00-${TRACE}-${sent.spanId}-01`,
      tracestate: 'vendor=value',
    });
  });

  it('are as long as what they tell of', async () => {
    const { port } = await start();
    await ask(port, 'text_tokens-20_ms-10').ended;
    const run = await span('chat other');
    const ms = (Number(run.endTimeUnixNano) - Number(run.startTimeUnixNano)) / 1e6;
    expect(ms).toBeGreaterThan(150);
    expect((await span('POST')).traceId).toBe(run.traceId);
  });

  it('are in the log by their id', async () => {
    const server = await start();
    await ask(server.port, 'text').ended;
    const { traceId } = await span('POST /v1/chat/stream');
    await eventually(() => {
      for (const context of ['Request', 'Run']) {
        const line = expect.objectContaining({ context, trace_id: traceId });
        expect(server.log()).toContainEqual(line);
      }
    });
  });

  it('tell of a failure by its code, of the run and of the request upstream', async () => {
    const { port } = await start();
    await ask(port, 'status-401').ended;

    expect(await span('chat other')).toMatchObject({
      status: { code: 2 },
      attributes: { 'error.type': 'provider_auth', 'sluice.run.status': 'failed' },
    });
    expect(await span('POST')).toMatchObject({
      status: { code: 2 },
      attributes: { 'error.type': '401', 'http.response.status_code': 401 },
    });
    expect((await span('POST /v1/chat/stream')).status).toEqual({ code: 2 });
  });

  it('tell of a run that was cancelled, which is no failure', async () => {
    const { port } = await start();
    const call = ask(port, 'slow');
    await call.until('data: {"content"');
    call.destroy();

    expect(await span('chat other')).toMatchObject({
      status: { code: 0 },
      attributes: { 'sluice.run.status': 'cancelled' },
    });
    expect(await span('POST')).toMatchObject({
      status: { code: 0 },
      attributes: { 'sluice.dropped': true },
    });
  });

  it('are sampled as the caller and the standard variables say', async () => {
    const { port } = await start({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' });
    await ask(port, 'text').ended;
    await ask(port, 'text', { headers: IN_TRACE }).ended;
    await span('POST /v1/chat/stream');
    expect(new Set(collector.spans().map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
    const [unsampled] = upstream.requests;
    expect(unsampled!.headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  });

  it('are sent with the name and the headers that the standard variables say', async () => {
    const { port } = await start({
      OTEL_SERVICE_NAME: 'gateway',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=blue',
    });
    await open({ port, path: '/health' }).ended;
    expect(await span('GET /health')).toMatchObject({ service: 'gateway' });
    expect(collector.headers.at(-1)).toMatchObject({ 'x-tenant': 'blue' });
    expect(collector.paths.at(-1)).toBe('/v1/traces');
  });

  it('are sent before the process ends', async () => {
    const { port, process: child } = await start({ OTEL_BSP_SCHEDULE_DELAY: 60_000 });
    await ask(port, 'text').ended;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(collector.spans().map(({ name }) => name)).toContain('POST /v1/chat/stream');
  });

  it('keep no process from ending when nobody takes them', async () => {
    const { port, process: child } = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://192.0.2.1:4318',
    });
    await ask(port, 'text').ended;
    const ended = once(child, 'exit');
    const before = performance.now();
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(performance.now() - before).toBeLessThan(6_000);
  });

  it('are told of once when they are lost', async () => {
    const server = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      OTEL_EXPORTER_OTLP_TIMEOUT: 300,
    });
    const lines = () => server.log().filter(({ context }) => context === 'Traces');
    await ask(server.port, 'text').ended;
    await eventually(() => expect(lines()).toHaveLength(1), 10_000);
    expect(lines()[0]).toMatchObject({
      level: 'warn',
      msg: expect.stringMatching(/^Spans are lost: .*\(ECONNREFUSED\)$/),
    });
    await ask(server.port, 'text').ended;
    await sleep(1_000);
    expect(lines()).toHaveLength(1);
  });

  it.each(['true', 'SPAN_ONLY', 'span_and_event'])(
    'have content where OpenTelemetry is told %s',
    async (capture) => {
      const { port } = await start({
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: capture,
      });
      await ask(port, 'text').ended;
      const { attributes } = await span('chat other');
      expect(JSON.parse(String(attributes['gen_ai.input.messages']))).toEqual([
        { role: 'user', parts: [{ type: 'text', content: 'hi' }] },
      ]);
      expect(JSON.parse(String(attributes['gen_ai.output.messages']))).toEqual([
        { role: 'assistant', parts: [{ type: 'text', content: TEXT }], finish_reason: 'stop' },
      ]);
    },
  );
});

describe('without OTEL_EXPORTER_OTLP_ENDPOINT', () => {
  const off = { OTEL_EXPORTER_OTLP_ENDPOINT: '' };

  it('hands on where the caller stands', async () => {
    const { port } = await start(off);
    await ask(port, 'text', { headers: IN_TRACE }).ended;
    await ask(port, 'text', { headers: { traceparent: 'not one' } }).ended;
    const [first, second] = upstream.requests;
    expect(first!.headers).toMatchObject(IN_TRACE);
    expect(second!.headers).not.toHaveProperty('traceparent');
  });

  it.each([
    ['nothing of what exports is loaded', off, false],
    ['nor with OTEL_SDK_DISABLED=TRUE', { OTEL_SDK_DISABLED: 'TRUE' }, false],
    ['nor with OTEL_TRACES_EXPORTER=None', { OTEL_TRACES_EXPORTER: 'None' }, false],
    ['while it is with one', {}, true],
  ])('%s', async (_, env, expected) => {
    const directory = await mkdtemp(join(tmpdir(), 'sluice-loaded-'));
    try {
      // It lists the scripts that ran.
      const { process: child, port } = await start({ ...env, NODE_V8_COVERAGE: directory });
      await ask(port, 'text').ended;
      child.kill('SIGTERM');
      await once(child, 'exit');
      const files = await readdir(directory);
      const loaded = await Promise.all(
        files.map((file) => readFile(join(directory, file), 'utf8')),
      );
      expect(loaded.join()).toContain('/dist/main.js');
      // The library for metrics brings the API, which is but an interface.
      const exporting = /"url":"[^"]*\/node_modules\/@opentelemetry\/(?!api\/)/;
      expect(exporting.test(loaded.join())).toBe(expected);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
