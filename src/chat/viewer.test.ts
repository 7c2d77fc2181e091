import { describe, expect, it } from '@jest/globals';
import type { Response } from 'express';
import { EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { firstValueFrom, lastValueFrom, NEVER, toArray } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import { failed } from '../runs/entry.js';
import { RunLog } from '../runs/run-log.js';
import type { Run } from '../runs/run.js';
import { Viewer } from './viewer.js';

const OPTIONS = { heartbeatMs: 1e6, writeTimeoutMs: 1e6 };

function openLog(): RunLog {
  return new RunLog(() => ({ type: 'start', data: { id: 'run_1', model: 'm', created: 0 } }));
}

/** A response to a client that is there, and takes all. */
function aResponse(): Response {
  const socket = Object.assign(new EventEmitter(), { destroyed: false });
  return Object.assign(new EventEmitter(), {
    req: { socket },
    writableNeedDrain: false,
    setTimeout: () => undefined,
  }) as unknown as Response;
}

describe(Viewer.name, () => {
  it('should count the frames that its client has of the entry after its cursor alone', async () => {
    const log = openLog();
    const run = { log, activity: NEVER } as unknown as Run;
    log.next({ type: 'message', data: { content: 'Hi' } });
    const view = (cursor: number, frames: number) =>
      new Viewer(run, aResponse(), OPTIONS, cursor, frames);

    const begun = view(1, 2);
    const [message] = await firstValueFrom(begun.batches);
    expect([message!.type, begun.framesSeen(message!)]).toEqual(['message', 2]);

    // What others kept of a run can be less than what a client has of it.
    log.abandon(failed(new ChatError('run_lost', 'lost')));
    const ahead = view(2, 1);
    const [end] = await firstValueFrom(ahead.batches);
    expect([end!.type, ahead.framesSeen(end!)]).toEqual(['error', 0]);
  });

  it.each(['dismissed', 'lost'])(
    'should show the end of a view that is %s whole, right after an entry of which frames were seen',
    async (how) => {
      const log = openLog();
      const run = { log, activity: log } as unknown as Run;
      log.next({ type: 'message', data: { content: 'Hi' } });
      const viewer = new Viewer(run, aResponse(), OPTIONS, 1, 1);
      const shown: [string, number][] = [];
      viewer.batches.subscribe((batch) => {
        for (const entry of batch) shown.push([entry.type, viewer.framesSeen(entry)]);
      });

      const error = new ChatError('run_lost', 'lost');
      if (how === 'lost') log.abandon(failed(error));
      else viewer.dismiss(error);
      await turn();
      expect(shown).toEqual([
        ['message', 1],
        ['error', 0],
      ]);
    },
  );

  it('should not show an end again that its client saw before it was heard of here', async () => {
    const log = openLog();
    const run = { log, activity: log } as unknown as Run;
    log.next({ type: 'message', data: { content: 'Hi' } });
    const [seen, unseen] = [3, 2].map((cursor) => {
      const viewer = new Viewer(run, aResponse(), OPTIONS, cursor);
      return lastValueFrom(viewer.batches.pipe(toArray()));
    });

    log.next({ type: 'done', data: { finish_reason: 'stop', model: 'm', usage: null } });
    log.complete();
    expect(await seen).toEqual([]);
    expect(await unseen).toEqual([[log.terminal]]);
  });
});
