import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { UpstreamCall } from '../providers/upstream-observer.js';
import { Metrics } from '../telemetry/metrics.js';
import type { RunRecord } from './run-record.js';
import { UpstreamRequests } from './upstream-requests.js';

const URL_UPSTREAM = new URL('https://user:secret@upstream.example/v1/chat?key=secret');

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

function follow() {
  const metrics = new Metrics();
  const open = new Map<UpstreamCall, UpstreamRequests>();
  const starts: unknown[] = [];
  const start = (describe: () => { attributes?: unknown }) => {
    starts.push(describe().attributes);
    return undefined;
  };
  const requests = new UpstreamRequests({ open, metrics, tracing: { start } });
  const samples = async (name: 'cancelSeconds' | 'upstreamSeconds', suffix: string) =>
    (await metrics[name].get()).values
      .filter(({ metricName }) => metricName?.endsWith(suffix))
      .map(({ value, labels }) => ({ value, ...labels }));
  return {
    requests,
    open,
    starts,
    orphans: () => [...open.values()].filter(({ isOver }) => isOver).length,
    closings: async () => ({
      count: (await samples('cancelSeconds', '_count'))[0]!.value,
      seconds: (await samples('cancelSeconds', '_sum'))[0]!.value,
    }),
    calls: () => samples('upstreamSeconds', '_sum'),
  };
}

describe(UpstreamRequests.name, () => {
  it('should know a request until it is over, and whether its run ended before', () => {
    const { requests, open, orphans } = follow();
    const call = requests.sending('POST', URL_UPSTREAM);
    expect([open.size, orphans()]).toEqual([1, 0]);
    requests.end('completed');
    expect([open.size, orphans()]).toEqual([1, 1]);
    call.closed();
    expect([open.size, orphans()]).toEqual([0, 0]);
  });

  it.each([
    ['before the run is over', true],
    ['after it', false],
  ])('should tell once how long a cancelled connection took to close, %s', async (_, first) => {
    const { requests, closings } = follow();
    const call = requests.sending('POST', URL_UPSTREAM);
    call.answered(200);
    jest.advanceTimersByTime(5_000);
    call.dropped();
    if (!first) requests.end('cancelled');
    jest.advanceTimersByTime(30);
    call.closed('truncated');
    jest.advanceTimersByTime(500);
    if (first) requests.end('cancelled');
    expect(await closings()).toEqual({ count: 1, seconds: 0.03 });
  });

  it.each<RunRecord['status']>(['completed', 'failed'])(
    'should tell nothing of that when the run %s',
    async (status) => {
      const { requests, closings } = follow();
      const call = requests.sending('POST', URL_UPSTREAM);
      call.dropped();
      call.closed();
      requests.end(status);
      expect(await closings()).toEqual({ count: 0, seconds: 0 });
    },
  );

  it.each([
    ['before the next was sent', true],
    ['after it', false],
  ])(
    'should tell nothing of an earlier attempt that was dropped and closed %s',
    async (_, first) => {
      const { requests, closings } = follow();
      const given = requests.sending('POST', URL_UPSTREAM);
      given.dropped();
      jest.advanceTimersByTime(5);
      if (first) given.closed();
      const call = requests.sending('POST', URL_UPSTREAM);
      if (!first) given.closed();
      call.dropped();
      requests.end('cancelled');
      jest.advanceTimersByTime(30);
      call.closed();
      expect(await closings()).toEqual({ count: 1, seconds: 0.03 });
    },
  );

  it('should tell how long every request took and how it ended', async () => {
    const { requests, calls } = follow();
    const send = (end: (call: UpstreamCall) => void) => {
      const call = requests.sending('POST', URL_UPSTREAM);
      jest.advanceTimersByTime(1_000);
      end(call);
    };
    send((call) => {
      call.answered(429);
      call.closed();
    });
    send((call) => call.closed('ECONNREFUSED'));
    send((call) => {
      call.answered(200);
      call.dropped();
      call.closed('truncated');
    });
    const common = { http_request_method: 'POST', server_address: 'upstream.example', value: 1 };
    expect(await calls()).toEqual([
      { ...common, http_response_status_code: 429, error_type: '429' },
      { ...common, error_type: 'ECONNREFUSED' },
      { ...common, http_response_status_code: 200 },
    ]);
  });

  it('should tell a span where the request goes, without what could be a secret', () => {
    const { requests, starts } = follow();
    requests.sending('POST', URL_UPSTREAM);
    requests.sending('POST', URL_UPSTREAM);
    const attributes = {
      'http.request.method': 'POST',
      'server.address': 'upstream.example',
      'server.port': 443,
      'url.full': 'https://upstream.example/v1/chat',
    };
    expect(starts).toEqual([attributes, { ...attributes, 'http.request.resend_count': 1 }]);
  });
});
