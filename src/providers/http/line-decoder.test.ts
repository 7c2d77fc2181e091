import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { StringDecoder } from 'node:string_decoder';
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

/** Bytes in packets of any lengths. */
function packetsOf(bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer[]> {
  return fc.tuple(bytes, fc.array(fc.nat({ max: 6 }))).map(([all, lengths]) => {
    const packets: Buffer[] = [];
    let start = 0;
    for (const length of lengths) packets.push(all.subarray(start, (start += length)));
    return [...packets, all.subarray(start)];
  });
}

/** Of one, two, three and four bytes. */
const text = fc
  .string({ unit: fc.constantFrom('a', ' ', '\n', '\r', 'é', 'や', '\uFEFF', '👩') })
  .map((characters) => Buffer.from(`${characters}\n`));

/** Characters that are cut short, over-long or none. */
const garbled = fc
  .array(fc.constantFrom(0x0a, 0x61, 0x80, 0xbf, 0xc3, 0xa9, 0xe3, 0x82, 0xed, 0xf0, 0x9f, 0xff))
  .map((bytes) => Buffer.from(bytes));

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

  it('gives the lines of the whole wherever any text is split', () => {
    fc.assert(
      fc.property(packetsOf(text), (packets) => {
        expect(decode(...packets)).toEqual(decode(Buffer.concat(packets)));
      }),
    );
  });

  it('reads what is no UTF-8 as a StringDecoder does', () => {
    fc.assert(
      fc.property(packetsOf(garbled), (packets) => {
        const decoder = new StringDecoder('utf8');
        const read = packets.map((packet) => decoder.write(packet)).join('');
        const lines = read.split('\n');
        const pendingLength = lines.pop()!.length;
        expect(decode(...packets)).toEqual({ lines, pendingLength });
      }),
    );
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
