import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startUpstream, textOf, type Protocol, type Upstream } from '../support/upstream/index.js';
import { FORMS, limited, play, type Cell, type Form } from './cell.js';

/**
 * What becomes of every fault.
 *
 * - `answer`: all of the text, and a good end.
 * - `502 provider_unavailable`: this status and code, in every form.
 * - `3 tokens + 502 provider_truncated`: those who stream get that text and then one error with this
 *   code; those who want a whole answer get the status.
 */
const TABLE = `
fault                                                             | openai, azure                       | ollama

text sse-crlf       sse-cr sse-bom sse-comments sse-multiline     | answer                              | =
empty-choices comment-flood azure-frames finish-with-content      | answer                              | =
no-usage usage-on-finish refuses-stream-options ok-no-type        | answer                              | =
close-delimited early-hints stale-rst stale-fin                   | answer                              | =
finish-without-done finish-then-hang                              | answer                              | =
done-then-hang done-then-late-end done-then-more done-then-flood  | answer                              | =

status-400 -html -empty -gzip -endless -key                       | 400 provider_rejected               | =
status-401 -html -empty                                           | 502 provider_auth                   | =
status-402 -html -empty                                           | 502 provider_auth                   | =
status-403 -html -empty                                           | 502 provider_auth                   | =
status-404 -html -empty                                           | 404 provider_rejected               | =
status-408 -html -empty                                           | 504 timeout_first_token             | =
status-409 -html -empty                                           | 409 provider_rejected               | =
status-413 -html -empty                                           | 413 provider_rejected               | =
status-418 -html -empty                                           | 502 provider_unavailable            | =
status-422 -html -empty                                           | 422 provider_rejected               | =
status-429 -html -empty                                           | 429 provider_rate_limited           | =
retry-after -date -past -ms -absurd -negative -garbage            | 429 provider_rate_limited           | =
status-500 -html -empty                                           | 502 provider_unavailable            | =
status-502 -html -empty                                           | 502 provider_unavailable            | =
status-503 -html -empty -hang                                     | 502 provider_unavailable            | =
status-504 -html -empty                                           | 502 provider_unavailable            | =
status-529 -html -empty                                           | 502 provider_unavailable            | =
redirect redirect-307                                             | 502 provider_unavailable            | =
ok-json ok-html ok-error ok-wrong-type ok-gzip                    | 502 provider_unavailable            | =
ok-empty status-204                                               | 502 provider_truncated              | =

wait-headers slow-headers wait-first ping-first empty-first       | 504 timeout_first_token             | =
stall ping-mid empty-mid                                          | 3 tokens + 504 timeout_idle         | =

rst-first fin-first not-http upgrade endless-headers              | 502 provider_unavailable            | =
rst-mid_after-0 fin-mid_after-0 eof-mid_after-0 cut-line_after-0  | 502 provider_truncated              | =
bad-chunk_after-0 done-without-finish_after-0                     | 502 provider_truncated              | =
rst-mid fin-mid eof-mid cut-line bad-chunk done-without-finish    | 3 tokens + 502 provider_truncated   | =
long-length                                                       | 16 tokens + 502 provider_truncated  | =
finish-then-rst                                                   | 16 tokens + 502 provider_truncated  | answer

malformed_after-0 wrong-shape_after-0                             | 502 provider_malformed              | =
endless-line_after-0 endless-event_after-0                        | 502 provider_malformed              | =
malformed wrong-shape endless-line endless-event                  | 3 tokens + 502 provider_malformed   | =
error-first error-key                                             | 502 provider_error                  | =
error-mid finish-error                                            | 3 tokens + 502 provider_error       | =
flood_tokens-100000                                               | some tokens + 502 provider_error    | =
`;

interface Row {
  fault: string;
  expected: Record<Protocol, string>;
}

/** A fault that begins with a hyphen is the row's first with another end. */
const ROWS = TABLE.trim()
  .split('\n')
  .slice(1)
  .filter((line) => line !== '')
  .flatMap((line): Row[] => {
    const [faults = '', openai = '', ollama = ''] = line.split('|').map((cell) => cell.trim());
    const [first = '', ...others] = faults.split(/ +/);
    const names = others.map((name) => (name.startsWith('-') ? first + name : name));
    // There is no plain `retry-after`.
    const all = first === 'retry-after' ? names : [first, ...names];
    const expected = { openai, azure: openai, ollama: ollama === '=' ? openai : ollama };
    return all.map((fault) => ({ fault, expected }));
  });

const UPSTREAMS: Protocol[] = ['openai', 'azure', 'ollama'];
const FORM_NAMES = Object.keys(FORMS) as Form[];

const FIRST_TOKEN_MS = 6_000;
const IDLE_MS = 3_000;
/** How much longer than its deadline a cell may take on a machine with other things to do. */
const SLACK_MS = 8_000;

const CONCURRENCY = 48;

const CANARY = 'canary-of-the-provider';

let upstream: Upstream;
let server: RunningApp;
const cells = new Map<string, Promise<Cell>>();

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OPENAI_API_KEY: CANARY,
    AZURE_OPENAI_ENDPOINT: upstream.url,
    AZURE_OPENAI_API_KEY: CANARY,
    AZURE_OPENAI_API_VERSION: '2024-10-21',
    AZURE_OPENAI_DEPLOYMENT: 'text',
    OLLAMA_BASE_URL: upstream.url,
    MAX_RUN_BYTES: 300_000,
    MAX_ATTEMPTS: 2,
    BREAKER_FAILURES: 0,
    FIRST_TOKEN_TIMEOUT_MS: FIRST_TOKEN_MS,
    IDLE_TIMEOUT_MS: IDLE_MS,
  });
  const inTurn = limited(CONCURRENCY);
  for (const at of UPSTREAMS) {
    for (const { fault } of ROWS) {
      for (const form of FORM_NAMES) {
        const id = `${at}/${fault} ${form}`;
        const cell = inTurn(() => play(server.port, form, `${at}/${fault}`, id));
        cell.catch(() => undefined);
        cells.set(id, cell);
      }
    }
  }
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

describe.each(UPSTREAMS)('at %s', (at) => {
  it.each(ROWS.map(({ fault, expected }): [string, string] => [fault, expected[at]]))(
    '%s: %s',
    async (fault, expected) => {
      for (const form of FORM_NAMES) {
        const id = `${at}/${fault} ${form}`;
        const { outcome, ms, received } = await cells.get(id)!;
        expect([form, outcome]).toEqual([form, wireOutcome(expected, form, outcome)]);
        expect(ms).toBeLessThan(deadlineOf(expected) + SLACK_MS);
        expect(received).not.toContain(CANARY);
      }
    },
    90_000,
  );
});

it('nothing is left open', async () => {
  await Promise.allSettled(cells.values());
  await eventually(() => expect(upstream.openSockets).toBe(0), 5_000);
  expect(upstream.requests.filter(({ path }) => path.includes('redirected'))).toEqual([]);
});

/** What a row's outcome is in one form. */
function wireOutcome(expected: string, form: Form, actual: string): string {
  const [, amount, refusal] = /^(\w+) tokens \+ (.*)$/.exec(expected) ?? [];
  if (amount === undefined || refusal === undefined) return expected;
  if (form === 'whole') return refusal;
  const [, code] = refusal.split(' ');
  const text = amount === 'some' ? (actual.split(' + ')[0] ?? '') : textOf(Number(amount));
  return `${text} + ${code!}`;
}

function deadlineOf(expected: string): number {
  if (expected.includes('timeout_first_token')) return FIRST_TOKEN_MS;
  if (expected.includes('timeout_idle')) return IDLE_MS;
  return 0;
}
