import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { open } from '../support/http.js';
import { PendingTimers } from '../support/pending-timers.js';
import { answerOf } from '../support/runs.js';
import { startUpstream, textOf, type Protocol, type Upstream } from '../support/upstream/index.js';
import { startAddresses, type Addresses } from './addresses.js';
import { FORMS, limited, play, type Cell, type Form } from './cell.js';
import { CANARY, startSluice, UPSTREAMS } from './sluice.js';

/**
 * What becomes of every fault, where it is all there is and where another target stands behind it.
 *
 * - `answer`: all of the text, and a good end.
 * - `502 provider_unavailable`: this status and code, in every form.
 * - `3 tokens + 502 provider_truncated`: those who stream get that text and then one error with this
 *   code; those who want a whole answer get the status.
 * - `=`: as in the column before.
 */
const TABLE = `
fault                                                               | openai, azure                       | ollama | with a fallback

text sse-crlf       sse-cr sse-bom sse-comments sse-multiline       | answer                              | =      | =
empty-choices comment-flood azure-frames finish-with-content        | answer                              | =      | =
no-usage usage-on-finish refuses-stream-options ok-no-type          | answer                              | =      | =
close-delimited early-hints stale-rst stale-fin                     | answer                              | =      | =
finish-without-done finish-then-hang                                | answer                              | =      | =
done-then-hang done-then-late-end done-then-more done-then-flood    | answer                              | =      | =

status-400 -html -empty -gzip -endless -key -flat -string -detail    | 400 provider_rejected               | =      | =
status-401 -html -empty                                             | 502 provider_auth                   | =      | answer
status-402 -html -empty                                             | 502 provider_auth                   | =      | answer
status-403 -html -empty                                             | 502 provider_auth                   | =      | answer
status-404 -html -empty                                             | 404 provider_rejected               | =      | answer
status-408 -html -empty                                             | 504 timeout_first_token             | =      | answer
status-409 -html -empty                                             | 409 provider_rejected               | =      | answer
status-413 -html -empty                                             | 413 provider_rejected               | =      | answer
status-418 -html -empty                                             | 502 provider_unavailable            | =      | answer
status-422 -html -empty                                             | 422 provider_rejected               | =      | =
status-429 -html -empty                                             | 429 provider_rate_limited           | =      | answer
retry-after -date -past -ms -absurd -negative -garbage              | 429 provider_rate_limited           | =      | answer
status-500 -html -empty                                             | 502 provider_unavailable            | =      | answer
status-502 -html -empty                                             | 502 provider_unavailable            | =      | answer
status-503 -html -empty -hang                                       | 502 provider_unavailable            | =      | answer
status-504 -html -empty                                             | 502 provider_unavailable            | =      | answer
status-529 -html -empty                                             | 502 provider_unavailable            | =      | answer
redirect redirect-307                                               | 502 provider_unavailable            | =      | answer
ok-json ok-html ok-error ok-wrong-type ok-gzip                      | 502 provider_unavailable            | =      | answer
ok-empty status-204                                                 | 502 provider_truncated              | =      | answer

wait-headers slow-headers wait-first ping-first empty-first         | 504 timeout_first_token             | =      | answer
stall ping-mid empty-mid                                            | 3 tokens + 504 timeout_idle         | =      | =

tls-good                                                            | answer                              | =      | =
refused unknown-host no-tls tls-expired tls-other-host tls-stranger | 502 provider_unavailable            | =      | answer
tls-silent                                                          | 504 timeout_connect                 | =      | answer
rst-first fin-first not-http upgrade endless-headers                | 502 provider_unavailable            | =      | answer
rst-mid_after-0 fin-mid_after-0 eof-mid_after-0 cut-line_after-0    | 502 provider_truncated              | =      | answer
bad-chunk_after-0 done-without-finish_after-0                       | 502 provider_truncated              | =      | answer
rst-mid fin-mid eof-mid cut-line bad-chunk done-without-finish      | 3 tokens + 502 provider_truncated   | =      | =
long-length                                                         | 16 tokens + 502 provider_truncated  | =      | =
finish-then-rst                                                     | 16 tokens + 502 provider_truncated  | answer | =

malformed_after-0 wrong-shape_after-0                               | 502 provider_malformed              | =      | answer
endless-line_after-0 endless-event_after-0                          | 502 provider_malformed              | =      | answer
malformed wrong-shape endless-line endless-event                    | 3 tokens + 502 provider_malformed   | =      | =
error-first error-key                                               | 502 provider_error                  | =      | answer
error-mid finish-error                                              | 3 tokens + 502 provider_error       | =      | =
flood_tokens-100000                                                 | some tokens + 502 provider_error    | =      | =
`;

interface Row {
  fault: string;
  alone: Record<Protocol, string>;
  backed: Record<Protocol, string>;
}

/** A fault that begins with a hyphen is the row's first with another end. */
const ROWS = TABLE.trim()
  .split('\n')
  .slice(1)
  .filter((line) => line !== '')
  .flatMap((line): Row[] => {
    const [faults, ...cells] = line.split('|').map((cell) => cell.trim()) as [string, ...string[]];
    const [first, ...others] = faults.split(/ +/) as [string, ...string[]];
    const names = others.map((name) => (name.startsWith('-') ? first + name : name));
    const [openai = '', ollama = '', backed = ''] = cells;
    const alone = { openai, azure: openai, ollama: ollama === '=' ? openai : ollama };
    const all = backed === '=' ? alone : { openai: backed, azure: backed, ollama: backed };
    // There is no plain `retry-after`.
    return [...(first === 'retry-after' ? [] : [first]), ...names].map((fault) => ({
      fault,
      alone,
      backed: all,
    }));
  });

const FORM_NAMES = Object.keys(FORMS) as Form[];
const SETUPS = ['alone', 'backed'] as const;

const FIRST_TOKEN_MS = 6_000;
const IDLE_MS = 3_000;
const CONNECT_MS = 2_000;
/** How much longer than its deadline a cell may take on a machine with other things to do. */
const SLACK_MS = 8_000;

/** More at a time would wait for the processor more than for their deadlines. */
const CONCURRENCY = 24;

/** Set up before the application starts. */
const timers = new PendingTimers();
let timersAtFirst: number;

let upstream: Upstream;
let addresses: Addresses;
let server: RunningApp;
const cells = new Map<string, Promise<Cell>>();

beforeAll(async () => {
  upstream = await startUpstream();
  addresses = await startAddresses();
  server = await startSluice(
    { upstream: upstream.url, ...addresses.urls },
    {
      MAX_RUN_BYTES: 300_000,
      CONNECT_TIMEOUT_MS: CONNECT_MS,
      FIRST_TOKEN_TIMEOUT_MS: FIRST_TOKEN_MS,
      IDLE_TIMEOUT_MS: IDLE_MS,
    },
  );
  timersAtFirst = timers.size;
  const inTurn = limited(CONCURRENCY);
  for (const id of SETUPS.flatMap((setup) => UPSTREAMS.flatMap((at) => idsOf(setup, at)))) {
    const [model, form] = id.split(' ') as [string, Form];
    const cell = inTurn(() => play(server.port, form, model, id));
    cell.catch(() => undefined);
    cells.set(id, cell);
  }
});

afterAll(async () => {
  await server.close();
  await addresses.close();
  await upstream.close();
  timers.restore();
});

type Setup = (typeof SETUPS)[number];

function idsOf(setup: Setup, at: Protocol): string[] {
  return ROWS.flatMap(({ fault }) => FORM_NAMES.map((form) => idOf(setup, at, fault, form)));
}

/** The model, and the form in which it is asked. */
function idOf(setup: Setup, at: Protocol, fault: string, form: Form): string {
  const isAddress = fault in addresses.urls;
  const target = isAddress ? `${at}-${fault}/text` : `${at}-upstream/${fault}`;
  return `${setup}/${target} ${form}`;
}

describe.each(SETUPS.flatMap((setup) => UPSTREAMS.map((at) => [setup, at] as const)))(
  '%s, at %s',
  (setup, at) => {
    it.each(ROWS.map((row) => [row.fault, row[setup][at]] as const))(
      '%s: %s',
      async (fault, expected) => {
        for (const form of FORM_NAMES) {
          const { outcome, ms, headers, body } = await cells.get(idOf(setup, at, fault, form))!;
          expect([form, outcome]).toEqual([form, outcomeIn(form, expected, outcome)]);
          expect(ms).toBeLessThan(deadlineOf(expected) + SLACK_MS);
          expect(JSON.stringify(headers) + body).not.toContain(CANARY);
        }
      },
      90_000,
    );
  },
);

/** What the server says of a connection that failed. */
const REASONS = {
  refused: 'ECONNREFUSED',
  'unknown-host': 'ENOTFOUND',
  'no-tls': 'ERR_SSL_\\w+|EPROTO',
  'tls-expired': 'CERT_HAS_EXPIRED',
  'tls-other-host': 'ERR_TLS_CERT_ALTNAME_INVALID',
  'tls-stranger': 'UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
};

it.each(Object.entries(REASONS))('%s is told as %s', async (fault, reason) => {
  for (const at of UPSTREAMS) {
    const { body } = await cells.get(idOf('alone', at, fault, 'json'))!;
    expect(body).toMatch(RegExp(`could not be reached \\((${reason})\\)`));
  }
});

it('nothing is left open', async () => {
  await Promise.allSettled(cells.values());
  await eventually(() => {
    expect(upstream.openSockets + addresses.countOpen()).toBe(0);
    expect(timers.size).toBe(timersAtFirst);
  }, 5_000);
  const { body } = await answerOf<{ data: unknown[] }>(
    open({ port: server.port, path: '/v1/runs?status=running' }),
  );
  expect(body.data).toEqual([]);
  // A redirect that was followed would be a request for it.
  expect(upstream.requests.filter(({ protocol }) => protocol === 'unknown')).toEqual([]);
});

/** What a row's outcome is in one form. */
function outcomeIn(form: Form, expected: string, actual: string): string {
  const [, amount, refusal] = /^(\w+) tokens \+ (.*)$/.exec(expected) ?? [];
  if (amount === undefined || refusal === undefined) return expected;
  if (form === 'whole') return refusal;
  const [, code] = refusal.split(' ');
  const text = amount === 'some' ? (actual.split(' + ')[0] ?? '') : textOf(Number(amount));
  return `${text} + ${code!}`;
}

function deadlineOf(expected: string): number {
  if (expected.includes('timeout_connect')) return CONNECT_MS;
  if (expected.includes('timeout_first_token')) return FIRST_TOKEN_MS;
  if (expected.includes('timeout_idle')) return IDLE_MS;
  return 0;
}
