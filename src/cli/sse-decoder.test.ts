import { describe, expect, it } from '@jest/globals';
import { SseDecoder, type SseEvent } from './sse-decoder.js';

const BODY =
  'event: start\r\nid: run_1:1\ndata: {}\n\n: ping\n\n\n' +
  'id: run_1:2\ndata: や\ndata:two\n\nid: run_1:3\n\ndata: last\r\rdata: cut';

describe(SseDecoder.name, () => {
  it.each([1, 2, 7, 1_000])('reads events and comments from pieces of %i bytes', (size) => {
    const events: SseEvent[] = [];
    const comments: string[] = [];
    const decoder = new SseDecoder(
      (event) => events.push(event),
      (comment) => comments.push(comment),
    );
    const bytes = Buffer.from(BODY);
    for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size));
    expect(events).toEqual([
      { event: 'start', id: 'run_1:1', data: '{}' },
      { event: 'message', id: 'run_1:2', data: 'や\ntwo' },
      { event: 'message', id: 'run_1:3', data: 'last' },
    ]);
    expect(comments).toEqual(['ping']);
  });
});
