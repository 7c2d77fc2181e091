import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { collectGarbage } from '../test/support/garbage.js';
import { keepLatest, letGoOfLatest } from './keep-latest.js';

class A {
  readonly name = 'a';
}
class B {
  readonly name = 'b';
}

describe('keepLatest', () => {
  const keep = (object: object) => {
    keepLatest(object);
    return new WeakRef(object);
  };

  it('should keep the latest object of each class, and no other', async () => {
    const objects = [new A(), new B(), new B(), new A()].map(keep);
    // A WeakRef keeps what it refers to until the turn is over.
    await sleep(0);
    collectGarbage();

    const isKept = objects.map((object) => object.deref() !== undefined);
    expect(isKept).toEqual([false, false, true, true]);
  });

  it('should let go of them all', async () => {
    const object = keep(new A());
    letGoOfLatest();
    await sleep(0);
    collectGarbage();

    expect(object.deref()).toBeUndefined();
  });
});
