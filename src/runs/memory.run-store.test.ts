import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { NEVER } from 'rxjs';
import { setImmediate as turn } from 'node:timers/promises';
import { collectGarbage } from '../../test/support/garbage.js';
import { ChatError } from '../errors/chat-error.js';
import { LocalRun } from './local.run.js';
import { MemoryRunStore } from './memory.run-store.js';

const STORE = { retentionMs: 60_000, maxSize: 1_000 };

function addRun(store: MemoryRunStore): LocalRun {
  const run = new LocalRun({
    caller: { owner: 'key:alice', name: 'alice', source: 'key', credential: 'a' },
    generation: { target: 'demo/echo', frames: NEVER, hasAsked: false },
    choices: 1,
    graceMs: 0,
    commitAfterMs: 1_000,
    maxLength: 1_000,
    estimateUsage: () => Promise.reject(new Error('not asked for')),
  });
  store.add(run);
  return run;
}

describe(MemoryRunStore.name, () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('should keep of an ended run what can be viewed, and not its request', async () => {
    const store = new MemoryRunStore(STORE);
    const run = addRun(store);
    await run.fail(new ChatError('internal', 'It failed.'));

    const found = await store.find(run.id);
    const { id, log, state } = run;
    expect(found).toMatchObject({ id, log, state, isKept: true });
    expect(found).not.toBeInstanceOf(LocalRun);
    expect(found!.locate(log.entries.length)).toBe('end');
  });

  it('should let go of an ended run itself, with the request that it answered', async () => {
    const store = new MemoryRunStore(STORE);
    const endRun = async () => {
      const run = addRun(store);
      await run.fail(new ChatError('internal', 'It failed.'));
      return { id: run.id, run: new WeakRef(run) };
    };
    const ended = await endRun();
    await turn();
    collectGarbage();

    expect(await store.find(ended.id)).toBeDefined();
    expect(ended.run.deref()).toBeUndefined();
  });

  it('should forget each ended run in its time, with nobody asking', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
    const store = new MemoryRunStore(STORE);
    const keepsAfter = async (ms: number) => {
      await jest.advanceTimersByTimeAsync(ms);
      return runs.map(({ id }) => store.keeps(id));
    };
    const runs = [addRun(store), addRun(store)];
    await runs[0]!.fail(new ChatError('internal', 'It failed.'));
    await jest.advanceTimersByTimeAsync(20_000);
    await runs[1]!.fail(new ChatError('internal', 'It failed.'));

    expect(await keepsAfter(39_000)).toEqual([true, true]);
    expect(await keepsAfter(2_000)).toEqual([false, true]);
    expect(await keepsAfter(17_000)).toEqual([false, true]);
    expect(await keepsAfter(2_000)).toEqual([false, false]);
  });

  it('should forget an ended run in its time, also when the clock is set', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
    const days = 86_400_000;
    for (const leap of [-30 * days, 30 * days]) {
      const store = new MemoryRunStore(STORE);
      const [first, second] = [addRun(store), addRun(store)];
      await first.fail(new ChatError('internal', 'It failed.'));
      jest.setSystemTime(Date.now() + leap);
      await second.fail(new ChatError('internal', 'It failed.'));

      await jest.advanceTimersByTimeAsync(59_000);
      expect([first, second].map(({ id }) => store.keeps(id))).toEqual([true, true]);
      await jest.advanceTimersByTimeAsync(2_000);
      expect([first, second].map(({ id }) => store.keeps(id))).toEqual([false, false]);
    }
  });

  it('should tell whoever links a chat what it showed before', async () => {
    const store = new MemoryRunStore(STORE);
    const [first, second] = [addRun(store), addRun(store)];
    const link = { runId: first.id, messageId: 'm' };

    expect(await store.linkChat('chat', link)).toBeUndefined();
    expect(await store.findChat('chat')).toEqual(link);
    expect(await store.linkChat('chat', { runId: second.id })).toEqual(link);
    expect(await store.findChat('chat')).toEqual({ runId: second.id });
  });

  it('should forget a link with its run, and leave the one that replaced it', async () => {
    const store = new MemoryRunStore(STORE);
    const [first, second] = [addRun(store), addRun(store)];
    await store.linkChat('chat', { runId: first.id });
    await store.linkChat('chat', { runId: second.id });

    await store.remove(first);
    expect(await store.findChat('chat')).toEqual({ runId: second.id });
    await store.remove(second);
    expect(await store.findChat('chat')).toBeUndefined();
  });

  it('should forget all of a run that two chats had in turn', async () => {
    const store = new MemoryRunStore(STORE);
    const run = addRun(store);
    await store.linkChat('one', { runId: run.id });
    await store.linkChat('two', { runId: run.id });

    await store.remove(run);
    expect(await store.findChat('one')).toBeUndefined();
    expect(await store.findChat('two')).toBeUndefined();
  });
});
