import { describe, expect, it } from '@jest/globals';
import { parseSse, withoutHeartbeats } from './sse.js';

describe(parseSse, () => {
  it.each(['\n', '\r', '\r\n'])('should end lines at %j', (end) => {
    const body = ['event: a', 'data: 1', 'data:2', '', 'data', '', ''].join(end);

    expect(parseSse(body)).toEqual({
      events: [
        { event: 'a', id: '', data: '1\n2' },
        { event: 'message', id: '', data: '' },
      ],
      comments: [],
      unterminated: '',
    });
  });

  it('should strip a BOM, and one space after the colon only', () => {
    expect(parseSse('\ufeffdata:  two\n\n').events).toEqual([
      { event: 'message', id: '', data: ' two' },
    ]);
  });

  it('should keep the last id, ignoring one with NUL, and dispatch nothing without data', () => {
    const { events } = parseSse('id: 1\n\ndata: a\n\nid: 2\0\ndata: b\n\nid\ndata: c\n\n');

    expect(events.map(({ id, data }) => id + data)).toEqual(['1a', '1b', 'c']);
  });

  it('should take retry only when it is all digits', () => {
    const { events } = parseSse('retry: 10\ndata: a\n\nretry: 1s\ndata: b\n\n');

    expect(events.map(({ retry }) => retry)).toEqual([10, undefined]);
  });

  it('should keep comments apart and drop an event that is not ended', () => {
    expect(parseSse(': ping\n\ndata: a\n\ndata: b\n')).toEqual({
      events: [{ event: 'message', id: '', data: 'a' }],
      comments: [' ping'],
      unterminated: 'data: b\n',
    });
  });
});

describe(withoutHeartbeats, () => {
  it('should leave all else as it is', () => {
    const said = 'data: : ping\n\n';
    expect(withoutHeartbeats(`: ping\n\n${said}: ping\n\n: ping\n\n${said}`)).toBe(said + said);
  });
});
