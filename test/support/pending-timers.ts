/**
 * Counts the application's timers that are still to fire and keep the process alive. Not by
 * `process.getActiveResourcesInfo()`, which counts the test runner's too.
 */
export class PendingTimers {
  readonly #pending = new Set<NodeJS.Timeout>();
  readonly #original = { setTimeout, setInterval, clearTimeout, clearInterval };

  constructor() {
    const { setTimeout, setInterval, clearTimeout } = this.#original;
    const clear = (timer?: NodeJS.Timeout) => {
      clearTimeout(timer);
      if (timer) this.#pending.delete(timer);
    };
    Object.assign(globalThis, {
      setTimeout: (callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
        const fire = () => {
          this.#pending.delete(timer);
          callback(...args);
        };
        const timer = setTimeout(fire, ms);
        this.#pending.add(timer);
        return timer;
      },
      setInterval: (callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
        const timer = setInterval(callback, ms, ...args);
        this.#pending.add(timer);
        return timer;
      },
      clearTimeout: clear,
      clearInterval: clear,
    });
  }

  get size(): number {
    return [...this.#pending].filter((timer) => timer.hasRef()).length;
  }

  restore(): void {
    Object.assign(globalThis, this.#original);
  }
}
