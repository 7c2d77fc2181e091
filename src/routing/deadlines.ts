import { Observable, type MonoTypeOperatorFunction } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import { hasContent } from '../providers/chunk.js';

/** Fails a generation that is not over after so many milliseconds. */
export function totalDeadline<T>(ms: number): MonoTypeOperatorFunction<T> {
  return (source) =>
    new Observable((subscriber) => {
      const timer = setTimeout(() => {
        subscriber.error(new ChatError('timeout_total', `The answer took over ${ms} ms.`));
      }, ms);
      subscriber.add(() => clearTimeout(timer));
      source.subscribe(subscriber);
    });
}

/**
 * Fails an answer that has begun and then has no content for so many milliseconds: no ping and no
 * empty frame keeps a dead one alive. There is one timer, which looks when content last came; it is
 * not set anew for every token.
 */
export function idleDeadline(ms: number): MonoTypeOperatorFunction<Frame> {
  return (source) =>
    new Observable((subscriber) => {
      let contentAt = 0;
      let checking: NodeJS.Timeout | undefined;

      const check = () => {
        const left = contentAt + ms - performance.now();
        if (left > 0) {
          checking = setTimeout(check, Math.ceil(left));
        } else {
          const message = `The provider sent no content for ${ms} ms.`;
          subscriber.error(new ChatError('timeout_idle', message));
        }
      };
      subscriber.add(() => clearTimeout(checking));
      subscriber.add(
        source.subscribe({
          next: (frame) => {
            if (!checking || frame.chunk.choices?.some(({ delta }) => hasContent(delta)))
              contentAt = performance.now();
            checking ??= setTimeout(check, ms);
            subscriber.next(frame);
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => subscriber.complete(),
        }),
      );
    });
}
