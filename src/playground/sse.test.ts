import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EventParser } from './public/sse.js';

function parse(...pieces: string[]) {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

const STREAM =
  '\uFEFF: hello\r\nevent: start\nid: run_1:1\nretry: 1500\ndata: {"a":1}\n\n' +
  'id: run_1:2\rdata: two\rdata:lines\r\r: ping\n\ndata\n\nevent: named\n\n' +
  'id: run_1:3\r\ndata:  😀 \r\n\r\nid: not\0this\ndata: last\n\ndata: unfinished';

const EVENTS = [
  { type: 'start', id: 'run_1:1', data: '{"a":1}' },
  { type: 'message', id: 'run_1:2', data: 'two\nlines' },
  { type: 'message', id: 'run_1:2', data: '' },
  { type: 'message', id: 'run_1:3', data: ' 😀 ' },
  { type: 'message', id: 'run_1:3', data: 'last' },
];

describe(EventParser.name, () => {
  it('reads all that the specification knows', () => {
    expect(parse(STREAM)).toEqual(EVENTS);
  });

  it('reads the same wherever the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(STREAM.length), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
        const pieces = at.slice(1).map((end, index) => STREAM.slice(at[index], end));
        expect(parse(...pieces)).toEqual(EVENTS);
      }),
    );
  });

  it('does not wait for what may follow a CR', () => {
    expect(parse('data: now\r\r')).toHaveLength(1);
  });

  it('keeps how long to wait, and begins with the id it was given', () => {
    const parser = new EventParser('run_1:7');
    expect(parser.push('retry: 2000\nretry: soon\ndata: x\n\n')[0]!.id).toBe('run_1:7');
    expect(parser.retryMs).toBe(2_000);
  });
});
