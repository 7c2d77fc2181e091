import { Observable, type MonoTypeOperatorFunction } from 'rxjs';
import { isTerminal, type Draft, type Terminal, type Usage } from './entry.js';

/**
 * Holds a terminal event without usage back until its tokens are counted. Upstream is closed by
 * then: the operator stands behind the one that ends the generation.
 *
 * @param hasUsage tells whether the run used any tokens
 * @param estimate counts the run's tokens
 */
export function settleUsage(
  hasUsage: (terminal: Terminal) => boolean,
  estimate: () => Promise<Usage>,
): MonoTypeOperatorFunction<Draft> {
  return (source) =>
    new Observable((subscriber) => {
      let isCounting = false;
      return source.subscribe({
        next: (event) => {
          if (!isTerminal(event) || event.data.usage || !hasUsage(event)) {
            subscriber.next(event);
            return;
          }
          isCounting = true;
          const end = (usage: Usage | null) => {
            event.data.usage = usage;
            subscriber.next(event);
            subscriber.complete();
          };
          // A run ends all the same.
          estimate().then(end, () => end(null));
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          if (!isCounting) subscriber.complete();
        },
      });
    });
}
