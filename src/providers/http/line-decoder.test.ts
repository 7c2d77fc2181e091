import { describe, expect, it } from '@jest/globals';
import { LineDecoder } from './line-decoder.js';

function decode(...packets: Buffer[]) {
  const lines: string[] = [];
  const decoder = new LineDecoder((line) => {
    lines.push(line);
    return true;
  });
  for (const packet of packets) decoder.push(packet);
  return { lines, pendingLength: decoder.pendingLength };
}

describe(LineDecoder.name, () => {
  it.each([
    ['LF', 'data: やっほ\n\ndata: 👩‍👩‍👧\nid: é\n', ['data: やっほ', '', 'data: 👩‍👩‍👧', 'id: é']],
    ['CR', 'data: やっほ\r\rdata: 👩‍👩‍👧\rid: é\r', ['data: やっほ', '', 'data: 👩‍👩‍👧', 'id: é']],
    ['CRLF', 'data: やっほ\r\n\r\nid: é\r\n', ['data: やっほ', '', 'id: é']],
    ['all three', 'a\rb\nc\r\n\n\r\n\r\rd\n', ['a', 'b', 'c', '', '', '', '', 'd']],
    ['a byte order mark', '\uFEFFa\n\uFEFFb\n', ['a', '\uFEFFb']],
    ['other line separators', 'a\u2028b\u0085c\0\vd\n', ['a\u2028b\u0085c\0\vd']],
  ])('gives the same lines with %s wherever the bytes are split', (_, text, lines) => {
    const bytes = Buffer.from(text);
    for (let first = 0; first <= bytes.length; first += 1) {
      for (let second = first; second <= bytes.length; second += 1) {
        const packets = [
          bytes.subarray(0, first),
          bytes.subarray(first, second),
          bytes.subarray(second),
        ];
        expect(decode(...packets)).toEqual({ lines, pendingLength: 0 });
      }
    }
    expect(decode(...Array.from(bytes, (byte) => Buffer.of(byte))).lines).toEqual(lines);
  });

  it('keeps a line without an end to itself and tells its length', () => {
    expect(decode(Buffer.from('a\nbc'), Buffer.from('d'))).toEqual({
      lines: ['a'],
      pendingLength: 3,
    });
  });

  it('goes no further once a line was answered with false', () => {
    const lines: string[] = [];
    const decoder = new LineDecoder((line) => {
      lines.push(line);
      return line !== 'last';
    });
    decoder.push(Buffer.from('first\nlast\nafter\n'));
    expect(lines).toEqual(['first', 'last']);
  });
});
