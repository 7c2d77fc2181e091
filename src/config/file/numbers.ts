import { z } from 'zod';

/** What a timer can count, in milliseconds. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** A whole number up to what a timer can count. */
export function whole(min = 1, max = MAX_TIMER_MS) {
  const error = expected(min, max);
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** The same, written in digits. */
export function wholeText(min = 1, max = MAX_TIMER_MS) {
  const error = expected(min, max);
  return z
    .string()
    .regex(/^\d{1,16}$/, { error })
    .transform(Number)
    .pipe(whole(min, max));
}

function expected(min: number, max: number): string {
  return `expected a whole number from ${min} to ${max}`;
}
