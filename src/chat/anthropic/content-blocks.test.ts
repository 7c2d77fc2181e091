import { describe, expect, it } from '@jest/globals';
import { ContentBlocks } from './content-blocks.js';
import type { StreamEvent } from './message.js';

/** What blocks there are and what is in each, as a client that knows one open block reads them. */
function read(events: StreamEvent[]): string[] {
  const blocks: string[] = [];
  let open = -1;
  for (const event of events) {
    if (event.type === 'content_block_start') {
      expect(open).toBe(-1);
      open = event.index;
      const { content_block: block } = event;
      blocks[open] = block.type === 'tool_use' ? `${block.id} ${block.name} ` : `${block.type} `;
    } else if (event.type === 'content_block_delta') {
      expect(event.index).toBe(open);
      blocks[open] = [blocks[open], Object.values(event.delta)[1]].join('');
    } else if (event.type === 'content_block_stop') {
      expect(event.index).toBe(open);
      open = -1;
    }
  }
  expect(open).toBe(-1);
  return blocks;
}

describe(ContentBlocks.name, () => {
  it('should have calls that take turns one after the other', () => {
    const blocks = new ContentBlocks((index) => `call_${index}`);
    const events = [
      blocks.call({ index: 0, id: 'a', name: 'f', arguments: '{"x":' }),
      blocks.call({ index: 1, id: 'b', name: 'g', arguments: '{"y"' }),
      blocks.call({ index: 0, arguments: '1}' }),
      blocks.call({ index: 1, arguments: ':2}' }),
      blocks.end(),
    ].flat();
    expect(read(events)).toEqual(['a f {"x":1}', 'b g {"y":2}']);
  });

  it('should begin a call once its name is there, and nothing else before its arguments', () => {
    const blocks = new ContentBlocks((index) => `call_${index}`);
    const events = [
      blocks.call({ index: 0, id: 'a', arguments: '' }),
      blocks.call({ index: 0, name: 'f', arguments: '' }),
      blocks.text('\n'),
      blocks.call({ index: 0, arguments: '{"x":1}' }),
      blocks.end(),
    ].flat();
    expect(read(events)).toEqual(['a f {"x":1}', 'text \n']);
  });

  it('should have what comes between the pieces of a call after it, in order', () => {
    const blocks = new ContentBlocks((index) => `call_${index}`);
    const events = [
      blocks.text('Let me '),
      blocks.text('see.'),
      blocks.call({ index: 0, name: 'f', arguments: '{"x":' }),
      blocks.thinking('Hm'),
      blocks.text('So'),
      blocks.call({ index: 1, id: 'b', name: 'g', arguments: '{' }),
      blocks.text(' so'),
      blocks.call({ index: 0, arguments: '1}' }),
      blocks.call({ index: 1, arguments: '}' }),
    ].flat();
    expect(read([...events, ...blocks.end()])).toEqual([
      'text Let me see.',
      'call_0 f {"x":1}',
      'b g {}',
      'thinking Hm',
      'text So so',
    ]);
    // As soon as no call is cut by it.
    expect(events.at(-1)).toMatchObject({ type: 'content_block_delta' });
  });

  it('should have what waits also where a call was cut', () => {
    const blocks = new ContentBlocks((index) => `call_${index}`);
    const events = [
      blocks.call({ index: 0, id: 'a', name: 'f', arguments: '{"x":' }),
      blocks.text('So'),
      blocks.end(),
    ].flat();
    expect(read(events)).toEqual(['a f {"x":', 'text So']);
  });
});
