import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunningApp } from '../support/app.js';
import { startUpstream, type Protocol, type Upstream } from '../support/upstream/index.js';
import { FORMS, limited, play, type Cell, type Form } from './cell.js';
import { startSluice, UPSTREAMS } from './sluice.js';

/**
 * What comes of a target that may be asked three times: the outcome, how often it was asked, what a
 * client that was refused is told of trying again, and how many seconds it is told to wait. Where a
 * kept connection ends under a request, that goes out once more on a new one, at once.
 */
const TABLE = `
fault                                    | outcome                   | asked | may retry | wait

status-408_times-2                       | answer                    | 3
status-409_times-2                       | answer                    | 3
status-429_retryafter-1_times-1          | answer                    | 2
status-500_times-1                       | answer                    | 2
status-503_times-2                       | answer                    | 3
status-529-html_times-2                  | answer                    | 3
rst-first_times-2                        | answer                    | 3
fin-first_times-1                        | answer                    | 2
rst-mid_after-0_times-2                  | answer                    | 3
eof-mid_after-0_times-1                  | answer                    | 2
ok-empty_times-1                         | answer                    | 2
error-first_times-2                      | answer                    | 3
malformed_after-0_times-1                | answer                    | 2
retry-after-past_times-2                 | answer                    | 3
retry-after-ms_times-1                   | answer                    | 2
retry-after-negative_times-1             | answer                    | 2
retry-after-garbage_times-1              | answer                    | 2

status-503                               | 502 provider_unavailable  | 3     | false
status-503_retryafter-1                  | 502 provider_unavailable  | 3     | false     | 1
status-409                               | 409 provider_rejected     | 3     | false
fin-first                                | 502 provider_unavailable  | 3..6  | false
eof-mid_after-0                          | 502 provider_truncated    | 3     | false
error-first                              | 502 provider_error        | 3     | false

status-429                               | 429 provider_rate_limited | 1     | true      | 7
status-429_retryafter-60                 | 429 provider_rate_limited | 1     | true      | 60
status-429_retryafter-61                 | 429 provider_rate_limited | 1     | false     | 61
status-503_retryafter-30                 | 502 provider_unavailable  | 1     | true      | 30
retry-after-absurd                       | 429 provider_rate_limited | 1     | false     | 86400
status-400                               | 400 provider_rejected     | 1     | false
status-401                               | 502 provider_auth         | 1     | false
status-404                               | 404 provider_rejected     | 1     | false
redirect                                 | 502 provider_unavailable  | 1     | true
upgrade                                  | 502 provider_unavailable  | 1     | true
ok-html                                  | 502 provider_unavailable  | 1     | true
`;

interface Row {
  fault: string;
  outcome: string;
  /** The fewest and the most. */
  asked: [number, number];
  mayRetry?: string;
  wait?: string;
}

const ROWS = TABLE.trim()
  .split('\n')
  .slice(1)
  .filter((line) => line !== '')
  .map((line): Row => {
    const [fault, outcome, asked, mayRetry, wait] = line.split('|').map((cell) => cell.trim());
    const [least, most = least] = asked!.split('..').map(Number);
    return { fault: fault!, outcome: outcome!, asked: [least!, most!], mayRetry, wait };
  });

const FORM_NAMES = Object.keys(FORMS) as Form[];

let upstream: Upstream;
let server: RunningApp;
const cells = new Map<string, Promise<Cell>>();

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startSluice({ upstream: upstream.url }, {});
  const inTurn = limited(60);
  for (const at of UPSTREAMS) {
    for (const { fault } of ROWS) {
      for (const form of FORM_NAMES) {
        const model = modelOf(fault, at, form);
        const cell = inTurn(() => play(server.port, form, `again/${at}-upstream/${model}`, 'hi'));
        cell.catch(() => undefined);
        cells.set(model, cell);
      }
    }
  }
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

/** A name for each: the upstream counts by it. */
function modelOf(fault: string, at: Protocol, form: Form): string {
  return `${fault}_ms-${UPSTREAMS.indexOf(at) * FORM_NAMES.length + FORM_NAMES.indexOf(form)}`;
}

describe.each(UPSTREAMS)('at %s', (at) => {
  it.each(ROWS)(
    '$fault: $outcome',
    async ({ fault, outcome, asked, mayRetry, wait }) => {
      for (const form of FORM_NAMES) {
        const model = modelOf(fault, at, form);
        const cell = await cells.get(model)!;
        const requests = upstream.requests.filter((request) => request.model === model);
        const told = {
          mayRetry: cell.headers['x-should-retry'],
          wait: cell.headers['retry-after'],
        };
        expect({ form, outcome: cell.outcome, ...told }).toEqual({ form, outcome, mayRetry, wait });
        expect(requests.length).toBeGreaterThanOrEqual(asked[0]);
        expect(requests.length).toBeLessThanOrEqual(asked[1]);
      }
    },
    60_000,
  );
});
