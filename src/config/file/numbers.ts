import { z } from 'zod';

/** A whole number up to what a timer can count. */
export function whole(min = 1, max = 2 ** 31 - 1) {
  const error = `expected a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}
