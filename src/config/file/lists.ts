import { z } from 'zod';

/** A list whose first item is sure. */
export function atLeastOne<T extends z.ZodType>(item: T, error: string) {
  return z
    .array(item, { error })
    .min(1, { error })
    .transform((list) => list as [z.output<T>, ...z.output<T>[]]);
}
