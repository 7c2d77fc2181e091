import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { UpstreamCall } from '../providers/upstream-observer.js';
import type { RunRecord } from './run-record.js';
import { UpstreamRequests } from './upstream-requests.js';

const URL_UPSTREAM = new URL('https://user:secret@upstream.example/v1/chat?key=secret');

beforeEach(() => {
  jest.useFakeTimers({ advanceTimers: false });
});
afterEach(() => {
  jest.useRealTimers();
});

function follow() {
  const open = new Map<UpstreamCall, UpstreamRequests>();
  const closings: number[] = [];
  const starts: unknown[] = [];
  const requests = new UpstreamRequests({
    open,
    onCancelled: (ms) => closings.push(ms),
    startSpan: (describe) => {
      starts.push(describe().attributes);
      return undefined;
    },
  });
  const orphans = () => [...open.values()].filter(({ isOver }) => isOver).length;
  return { requests, open, closings, starts, orphans };
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
  ])('should tell once how long a cancelled connection took to close, %s', (_, first) => {
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
    expect(closings).toEqual([30]);
  });

  it.each<RunRecord['status']>(['completed', 'failed'])(
    'should tell nothing of that when the run %s',
    (status) => {
      const { requests, closings } = follow();
      const call = requests.sending('POST', URL_UPSTREAM);
      call.dropped();
      call.closed();
      requests.end(status);
      expect(closings).toEqual([]);
    },
  );

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
