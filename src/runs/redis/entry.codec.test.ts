import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ChatError } from '../../errors/chat-error.js';
import { failed, TextEntry, type Draft, type Entry } from '../entry.js';
import { RunLog } from '../run-log.js';
import { decodeEntry, encodeEntry } from './entry.codec.js';

const aroundOf = (id: string) => ({
  before: `{"id":"${id}","content":"`,
  between: '',
  after: '"}',
});

function logOf(drafts: Draft[]): readonly Entry[] {
  const log = new RunLog();
  for (const draft of drafts) log.next(draft);
  return log.entries;
}

function encodeAll(entries: readonly Entry[]): string[] {
  return entries.map((entry, index) => encodeEntry(entry, entries[index - 1]));
}

function decodeAll(encoded: readonly string[]): readonly Entry[] {
  const log = new RunLog();
  for (const json of encoded) log.next(decodeEntry(json, log.entries.at(-1)));
  return log.entries;
}

/** All that viewers read of entries. */
function read(entries: readonly Entry[]) {
  return entries.map(({ seq, type, data, chunks }) => ({ seq, type, data, chunks }));
}

describe('entries as JSON', () => {
  it('should say the same, whatever follows whatever', () => {
    const surroundings = [
      aroundOf('a'),
      aroundOf('b'),
      { before: '{"content":"', between: '","obfuscation":"', after: '"}' },
      { before: '', between: '', after: '' },
    ];
    const text = fc
      .tuple(fc.string({ unit: 'binary' }), fc.string(), fc.constantFrom(...surroundings))
      .map((parts) => () => new TextEntry(...parts));
    const others: Draft[] = [
      { type: 'message', data: { content: 'a' }, chunks: ['{"a":1}', '{}'] },
      { type: 'delta', data: { audio: { id: 'a' } } },
      { type: 'tool_call', data: { index: 0, arguments: '{' }, chunks: ['{}'] },
      failed(
        new ChatError('provider_error', 'It failed.', { retryAfterMs: 5, upstream: { type: 'a' } }),
      ),
    ];
    const other = fc.constantFrom(...others).map((draft) => () => ({ ...draft }));
    fc.assert(
      fc.property(fc.array(fc.oneof(text, other)), (makers) => {
        const entries = logOf(makers.map((make) => make()));
        expect(read(decodeAll(encodeAll(entries)))).toEqual(read(entries));
      }),
    );
  });

  it('should say once what is around texts', () => {
    const around = aroundOf('a');
    const texts = ['Hel', 'lo', '!'].map((text) => new TextEntry(text, 'xx', around));
    expect(encodeAll(logOf(texts))).toEqual([
      '["Hel","xx","{\\"id\\":\\"a\\",\\"content\\":\\"","","\\"}"]',
      '["lo","xx"]',
      '["!","xx"]',
    ]);
  });

  it('should keep what an error says to clients', () => {
    const error = new ChatError('provider_rate_limited', 'Too many.', {
      status: 429,
      retryAfterMs: 5,
      upstream: { type: 'tokens' },
    });
    const [decoded] = decodeAll(encodeAll(logOf([failed(error)])));
    const { code, message, status, retryAfterMs, retryable, body } = error;
    expect(decoded).toMatchObject({
      error: { code, message, status, retryAfterMs, retryable, body },
    });
  });
});
