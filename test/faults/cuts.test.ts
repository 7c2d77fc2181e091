import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open } from '../support/http.js';
import { startUpstream, type Protocol, type Upstream } from '../support/upstream/index.js';
import { limited, play, type Form } from './cell.js';

const UPSTREAMS: Protocol[] = ['openai', 'azure', 'ollama'];
const CONCURRENCY = 64;
const TIMEOUT_MS = 120_000;

const FINISHED = /"finish_reason":"stop"|"done":true/;

/** The third has characters of two bytes. */
const TOKENS = 3;

/** Where each protocol has its stream, and how a frame of it ends. */
const WIRE = {
  openai: { path: '/v1/chat/completions', frameEnd: '\n\n' },
  azure: { path: '/openai/v1/chat/completions', frameEnd: '\n\n' },
  ollama: { path: '/api/chat', frameEnd: '\n' },
};

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    AZURE_OPENAI_ENDPOINT: upstream.url,
    AZURE_OPENAI_API_KEY: 'azure-test',
    AZURE_OPENAI_DEPLOYMENT: 'text',
    OLLAMA_BASE_URL: upstream.url,
  });
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

/** The stream that is cut, as the provider gets it. */
async function streamOf(at: Protocol): Promise<Buffer> {
  const model = `eof-at_bytes-1000000_tokens-${TOKENS}`;
  const body = { model, stream: true, stream_options: { include_usage: true } };
  const call = open({ port: upstream.port, path: WIRE[at].path, body });
  expect(await call.ended).toBe('complete');
  return call.bytes();
}

/** What the frames say that end within these bytes. */
function frames(at: Protocol, bytes: Buffer): string {
  return bytes.subarray(0, bytes.lastIndexOf(WIRE[at].frameEnd) + 1).toString();
}

/** Where the HTTP body ends well, the end of its last frame may be missing: then its data is whole. */
function framesAtEnd(at: Protocol, bytes: Buffer): string {
  const whole = frames(at, bytes);
  const rest = bytes.toString().slice(whole.length);
  return isWhole(rest.trim()) ? whole + rest : whole;
}

function isWhole(frame: string): boolean {
  try {
    return frame === 'data: [DONE]' || Boolean(JSON.parse(frame.replace(/^data: /, '')));
  } catch {
    return false;
  }
}

function textOf(said: string): string {
  return [...said.matchAll(/"content":("[^"]*")/g)]
    .map(([, json]) => JSON.parse(json!) as string)
    .join('');
}

/** Every cut is seen in the native dialect, every fourth in one of the other two forms as well. */
function formsAt(bytes: number): Form[] {
  if (bytes % 4 > 0) return ['json'];
  return ['json', bytes % 8 > 0 ? 'openai' : 'whole'];
}

describe.each(UPSTREAMS)('a stream of %s that is cut after any byte', (at) => {
  let stream: Buffer;

  beforeAll(async () => {
    stream = await streamOf(at);
  });

  afterEach(async () => {
    await eventually(() => expect(upstream.openSockets).toBe(0));
    upstream.reset();
  });

  /** Cuts at every byte, and gives what came out otherwise than expected. */
  async function surprises(how: string, expected: (bytes: Buffer, form: Form) => string[]) {
    const inTurn = limited(CONCURRENCY);
    const found: object[] = [];
    const cut = async (length: number, form: Form) => {
      const model = `${at}/${how}-at_bytes-${length}_tokens-${TOKENS}`;
      const { outcome } = await play(server.port, form, model, 'hi');
      const right = expected(stream.subarray(0, length), form);
      if (!right.includes(outcome)) found.push({ length, form, outcome, right });
    };
    const cuts = Array.from(stream, (_, bytes) =>
      formsAt(bytes).map((form) => inTurn(() => cut(bytes, form))),
    );
    await Promise.all(cuts.flat());
    return found;
  }

  function broken(text: string, form: Form): string {
    const isRefused = form === 'whole' || text === '';
    return isRefused ? '502 provider_truncated' : `${text} + provider_truncated`;
  }

  it.each(['rst', 'fin'])(
    'by %s: the text so far, then one error, and never done',
    async (how) => {
      expect(
        await surprises(how, (bytes, form) => [broken(textOf(frames(at, bytes)), form)]),
      ).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    'by a good end of the HTTP body: the same, up to the last finish reason',
    async () => {
      const expected = (bytes: Buffer, form: Form) => {
        const said = framesAtEnd(at, bytes);
        const error = broken(textOf(said), form);
        if (!FINISHED.test(said)) return [error];
        // Half a frame behind the finish reason is an error too.
        const isCut = bytes.length > Buffer.byteLength(said);
        return isCut ? [`${textOf(said)} + done`, error] : [`${textOf(said)} + done`];
      };
      expect(await surprises('eof', expected)).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
