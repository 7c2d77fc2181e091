import { Observable, type OperatorFunction } from 'rxjs';

/** `mergeMap` for what is at hand: without a subscription of its own for every value. */
export function emitEach<T, R>(project: (value: T) => readonly R[]): OperatorFunction<T, R> {
  return (source) =>
    new Observable((subscriber) =>
      source.subscribe({
        next: (value) => {
          try {
            for (const each of project(value)) subscriber.next(each);
          } catch (error) {
            subscriber.error(error);
          }
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => subscriber.complete(),
      }),
    );
}
