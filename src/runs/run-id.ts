import { randomFillSync } from 'node:crypto';

const ID_BYTES = 16;

/** Random bytes come from the system many at a time: fetching them costs far more than their number. */
const pool = Buffer.alloc(256 * ID_BYTES);
let used = pool.length;

/** 128 random bits, so that nobody guesses the id of somebody else's run. */
export function createRunId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const start = used;
  used += ID_BYTES;
  return `run_${pool.toString('hex', start, used)}`;
}
