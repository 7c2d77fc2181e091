import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 2;

/** Resolves once the expectation holds; rejects with what it threw last when it does not in time. */
export async function eventually(expectation: () => unknown, withinMs = 3000): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      await expectation();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(POLL_MS);
    }
  }
}
