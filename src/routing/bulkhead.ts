import { Observable } from 'rxjs';
import type { BulkheadSettings } from '../config/file/providers.schema.js';
import { TargetUnavailable } from './target-unavailable.js';

/** A place in the queue is likely free again by then. */
const RETRY_AFTER_MS = 1_000;

/**
 * Caps how many requests a target gets at a time, so that a slow one takes no more of this process,
 * and gets no more of its own, than was meant for it. The others wait in line, not too many and
 * not too long.
 */
export class Bulkhead {
  /** Requests that have their place. */
  active = 0;
  /** The newest that a caller brought: a reload can change it while others wait. */
  private maxConcurrent = 0;
  private isAdmitting = false;
  /** In order of arrival; who leaves is taken out. */
  private readonly queue = new Set<() => void>();

  /** Requests that wait for theirs. */
  get waiting(): number {
    return this.queue.size;
  }

  /** Whether nobody is in it or waits for it. */
  get isIdle(): boolean {
    return this.active === 0 && this.waiting === 0;
  }

  /**
   * Subscribes to the source when it is its turn. Unsubscribing leaves the queue, or the place.
   * @param maxWaitMs where less than the settings' own
   * @throws {TargetUnavailable} as the stream's error, when the queue is full or too slow
   */
  admit<T>(source: Observable<T>, settings: BulkheadSettings, maxWaitMs: number): Observable<T> {
    const { maxConcurrent, queueSize } = settings;
    return new Observable((subscriber) => {
      this.maxConcurrent = maxConcurrent;
      this.admitNext();
      const start = () => {
        this.active += 1;
        source.subscribe(subscriber);
        // Behind the source's own teardown: its connection is closed by then.
        subscriber.add(() => {
          this.active -= 1;
          this.admitNext();
        });
      };
      const refuse = (why: string) =>
        subscriber.error(new TargetUnavailable(`The provider is busy: ${why}.`, RETRY_AFTER_MS));

      if (this.active < maxConcurrent) {
        start();
      } else if (this.queue.size >= queueSize) {
        refuse('too many requests wait for it');
      } else {
        const timer = setTimeout(
          () => refuse('no request ended in time'),
          Math.ceil(Math.min(settings.queueTimeoutMs, maxWaitMs)),
        );
        const enter = () => {
          leave();
          start();
        };
        const leave = () => {
          clearTimeout(timer);
          this.queue.delete(enter);
        };
        this.queue.add(enter);
        subscriber.add(leave);
      }
    });
  }

  private admitNext() {
    // Who fails at once comes back here: it is for the loop that is running to go on.
    if (this.isAdmitting) return;
    this.isAdmitting = true;
    for (const enter of this.queue) {
      if (this.active >= this.maxConcurrent) break;
      enter();
    }
    this.isAdmitting = false;
  }
}
