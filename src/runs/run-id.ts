import { randomFillSync } from 'node:crypto';

const ID_BYTES = 16;

/** Random bytes for many ids: asking for them costs far more than the bytes do. */
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
