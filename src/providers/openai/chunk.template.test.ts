import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Frame } from '../chat-provider.js';
import type { UpstreamChunk } from '../chunk.js';
import { ChunkTemplate } from './chunk.template.js';

const json = (chunk: object) => JSON.stringify(chunk);
const chunkOf = (content: string, fields: object = {}, delta: object = {}) => ({
  id: 'chatcmpl-1',
  choices: [{ index: 0, delta: { ...delta, content }, logprobs: null, finish_reason: null }],
  ...fields,
});

function templateOf(text: string): ChunkTemplate {
  return ChunkTemplate.of(text, JSON.parse(text) as UpstreamChunk)!;
}

/** What a frame says without a look at its JSON: the chunk that it is like, with its own text. */
function saidBy({ template, text }: Frame, obfuscation: unknown) {
  const { chunk } = template!;
  const [choice] = chunk.choices!;
  return {
    ...chunk,
    choices: [{ ...choice, delta: { ...choice!.delta, content: text } }],
    // Padding is nobody's to read.
    ...(obfuscation !== undefined && { obfuscation }),
  };
}

describe(ChunkTemplate.name, () => {
  it.each([
    ['another text', chunkOf('b')],
    ['no text', chunkOf('')],
    ['text beyond ASCII', chunkOf('や😀')],
  ])('should read a chunk with %s', (_name, chunk) => {
    const frame = templateOf(json(chunkOf('a'))).read(json(chunk))!;
    expect(frame).toMatchObject({ chunk, json: json(chunk), template: { chunk: chunkOf('a') } });
    expect(frame.text).toBe(chunk.choices[0]!.delta.content);
  });

  it('should read a chunk with another padding', () => {
    const template = templateOf(json(chunkOf('a', { obfuscation: 'xyz' })));
    const chunk = chunkOf('longer', { obfuscation: '' });
    expect(template.read(json(chunk))).toMatchObject({ chunk, text: 'longer' });
  });

  it.each([
    ['an escape', json(chunkOf('a"b'))],
    ['another id', json({ ...chunkOf('b'), id: 'chatcmpl-2' })],
    ['a finish reason', json(chunkOf('b')).replace('reason":null', 'reason":"stop"')],
    ['more behind it', `${json(chunkOf('b'))} `],
    ['a character that JSON forbids', json(chunkOf('b')).replace('"b"', '"\t"')],
    ['an end within the text', json(chunkOf('b')).split('b"')[0]!],
  ])('should not read a chunk with %s', (_name, text) => {
    expect(templateOf(json(chunkOf('a'))).read(text)).toBeUndefined();
  });

  it.each([
    ['two choices', { choices: [chunkOf('a').choices[0], chunkOf('b').choices[0]] }],
    ['no text', { choices: [{ index: 0, delta: { role: 'assistant' } }] }],
    ['a content in a second place', chunkOf('a', { note: { content: 'b' } })],
    ['an escape', chunkOf('a\n')],
    ['no text but null', { choices: [{ index: 0, delta: { content: null } }] }],
    ['no choice', { choices: [] }],
  ])('should not be made of a chunk with %s', (_name, chunk) => {
    expect(ChunkTemplate.of(json(chunk), chunk as UpstreamChunk)).toBeUndefined();
  });

  it('should not be made of JSON in several lines, which is passed on as one', () => {
    const lines = json(chunkOf('a')).replace(',', ',\n');
    expect(ChunkTemplate.of(lines, chunkOf('a'))).toBeUndefined();
  });

  it('should not take another text for that of the delta', () => {
    const text = json(chunkOf('a')).replace('"content":', '"content" :').slice(0, -1);
    const nested = `${text},"x":{"content":"b"}}`;
    expect(ChunkTemplate.of(nested, JSON.parse(nested) as UpstreamChunk)).toBeUndefined();
  });

  it('should never read anything but what JSON.parse does', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '"content":"', '\\'));
    const chunk = fc
      .tuple(text, fc.dictionary(text, text), fc.option(text), fc.dictionary(text, text))
      .map(([content, fields, obfuscation, delta]) =>
        chunkOf(content, { ...fields, ...(obfuscation !== null && { obfuscation }) }, delta),
      );
    fc.assert(
      fc.property(chunk, chunk, text, text, fc.nat(), (one, two, other, padding, at) => {
        const first = json(one);
        const template = ChunkTemplate.of(first, one);
        if (!template) return;
        const same = { ...one, choices: chunkOf(other, {}, one.choices[0]!.delta).choices };
        same.choices[0]!.delta.content = other;
        if ('obfuscation' in same) same.obfuscation = padding;
        const cut = at % (first.length + 1);
        const mangled = [first.slice(0, cut) + other + first.slice(cut), first.slice(0, cut)];
        for (const next of [json(same), json(two), ...mangled]) {
          const frame = template.read(next);
          if (!frame) continue;
          const chunk = JSON.parse(next) as { obfuscation?: string };
          expect(frame.chunk).toEqual(chunk);
          expect(saidBy(frame, chunk.obfuscation)).toEqual(chunk);
          const { before, between, after } = template;
          expect(before + frame.text! + between + frame.padding! + after).toBe(next);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
