import { beforeEach, describe, expect, it } from '@jest/globals';
import { ask, chatRequest, Conversations, newConversation } from './public/conversations.js';

/** A browser's storage of a few characters. */
class FullStorage {
  readonly items = new Map<string, string>();

  constructor(private readonly room = Infinity) {}

  get length() {
    return this.items.size;
  }

  key(index: number) {
    return [...this.items.keys()][index] ?? null;
  }

  getItem(key: string) {
    return this.items.get(key) ?? null;
  }

  setItem(key: string, value: string) {
    const others = [...this.items].filter(([name]) => name !== key);
    const size = others.reduce((sum, [, { length }]) => sum + length, value.length);
    if (size > this.room) throw new Error('QuotaExceededError');
    this.items.set(key, value);
  }

  removeItem(key: string) {
    this.items.delete(key);
  }
}

function conversation(question: string, updatedAt: number) {
  const one = newConversation({ model: '', policy: 'cancel' });
  ask(one, question);
  return Object.assign(one, { updatedAt });
}

describe(Conversations.name, () => {
  beforeEach(() => {
    // Other tabs' changes are heard of on the window.
    Object.assign(globalThis, { addEventListener: () => undefined });
  });

  it('are there again, the latest first, beside what is not its own', () => {
    const items = new FullStorage();
    const sut = new Conversations(items);
    for (const [at, question] of ['one', 'two', 'three'].entries()) {
      expect(sut.save(conversation(question, at))).toBe(true);
    }
    items.setItem('sluice.conversation.broken', '{');
    items.setItem('sluice.conversation.other', '{"version":9}');
    items.setItem('theme', 'dark');
    const titles = new Conversations(items).list().map(({ title }) => title);
    expect(titles).toEqual(['three', 'two', 'one']);
  });

  it('are fifty at most: the oldest go', () => {
    const sut = new Conversations(new FullStorage());
    for (let at = 0; at < 60; at += 1) sut.save(conversation(`question ${at}`, at));
    const titles = sut.list().map(({ title }) => title);
    expect(titles).toHaveLength(50);
    expect(titles.at(-1)).toBe('question 10');
  });

  it('give up the oldest where the browser has no room', () => {
    const items = new FullStorage(8_000);
    const sut = new Conversations(items);
    for (let at = 0; at < 4; at += 1) sut.save(conversation(`${at}`.repeat(2_000), at));
    expect(sut.list().map(({ title }) => title[0])).toEqual(['3', '2', '1']);
    expect(sut.save(conversation('x'.repeat(9_000), 9))).toBe(false);
  });

  it('give up none for one that has no room even without them', () => {
    const items = new FullStorage(8_000);
    const sut = new Conversations(items);
    for (let at = 0; at < 3; at += 1) sut.save(conversation(`${at}`.repeat(2_000), at));
    const large = conversation('x'.repeat(9_000), 9);
    expect([sut.save(large), sut.save(large)]).toEqual([false, false]);
    const kept = sut.list().find(({ title }) => title.startsWith('2'))!;
    expect(sut.save(Object.assign(kept, { title: 'still kept' }))).toBe(true);
    const titles = new Conversations(items).list().map(({ title }) => title.slice(0, 10));
    expect(titles).toEqual(['still kept', '1111111111', '0000000000']);
  });

  it('stay deleted, though an answer to one of them still ends', () => {
    const sut = new Conversations(new FullStorage());
    const one = conversation('hi', 1);
    sut.save(one);
    sut.remove(one.id);
    sut.save(one);
    expect(sut.list()).toEqual([]);
  });
});

describe(chatRequest.name, () => {
  it('leaves out what was never answered, and what was not set', () => {
    const one = conversation('first', 1);
    ask(one, 'second').answer.text = 'answer';
    expect(chatRequest({ model: '', system: ' ' }, one.turns, 'third')).toEqual({
      messages: [
        { role: 'user', content: 'first' },
        { role: 'user', content: 'second' },
        { role: 'assistant', content: 'answer' },
        { role: 'user', content: 'third' },
      ],
    });
  });
});
