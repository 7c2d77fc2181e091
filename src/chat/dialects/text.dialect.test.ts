import { describe, expect, it } from '@jest/globals';
import { RunLog } from '../../runs/run-log.js';
import type { Run } from '../../runs/run.js';
import { textDialect } from './text.dialect.js';

describe('the text dialect', () => {
  it('keeps the half of a character back until its other half has come', () => {
    const log = new RunLog();
    for (const content of ['a\ud83d', '\ude00b', 'c\ud83d', '\ude00\ud83d', '\ude00']) {
      log.next({ type: 'message', data: { content } });
    }
    const run = { id: 'run_1', log } as Run;
    const events = log.entries.map((entry) => textDialect.toEvent(entry, run));
    expect(events.map((event) => event?.data)).toEqual(['a', '😀b', 'c', '😀', '😀']);
  });

  it('joins the halves of a character that something else came between', () => {
    const log = new RunLog();
    log.next({ type: 'message', data: { content: 'a\ud83d' } });
    log.next({ type: 'reasoning', data: { content: 'hm' } });
    log.next({ type: 'tool_call', data: { index: 0, arguments: '' } });
    log.next({ type: 'message', data: { content: '\ude00' } });
    const run = { id: 'run_1', log } as Run;
    expect(textDialect.toEvent(log.entries.at(-1)!, run)?.data).toBe('😀');
  });

  it('has no event for a half alone', () => {
    const log = new RunLog();
    log.next({ type: 'message', data: { content: '\ud83d' } });
    expect(textDialect.toEvent(log.entries[0]!, { id: 'run_1', log } as Run)).toBeUndefined();
  });
});
