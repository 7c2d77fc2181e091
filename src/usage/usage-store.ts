/** What is counted, each per owner, model and day. */
export const COUNTERS = [
  'runs',
  'completed',
  'failed',
  'cancelled',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'reasoning_tokens',
  'total_tokens',
  'estimated_tokens',
  'unseen_tokens',
  'bytes',
] as const;

export type Counts = Record<(typeof COUNTERS)[number], number>;

/** A day of UTC, as `2026-01-31`. */
export type Day = string;

export interface UsageRow extends Counts {
  date: Day;
  /** What answered: `<provider>/<model>`. */
  model: string;
}

/** How long usage is kept, in days. */
export const RETENTION_DAYS = 400;

/** Models that an owner's day tells apart; callers name models at will. What comes after is `other`. */
export const MAX_MODELS = 1_000;

export const OTHER = 'other';

/**
 * Keeps what owners used.
 *
 * - `add` returns at once and never fails. What can't be written now is written soon, and once: it is
 *   lost only with the process, or when what is shared stays away for very long.
 * - All instances that share a store add up to the same.
 */
export interface UsageStore {
  add(owner: string, day: Day, model: string, counts: Counts): void;
  /**
   * @returns the rows of these days that there are, in no order
   * @throws {ChatError} `store_unavailable`
   */
  read(owner: string, days: readonly Day[]): Promise<UsageRow[]>;
}

export const USAGE_STORE = Symbol('USAGE_STORE');

export function noCounts(): Counts {
  return Object.fromEntries(COUNTERS.map((counter) => [counter, 0])) as Counts;
}

export function addCounts(to: Counts, counts: Counts) {
  for (const counter of COUNTERS) to[counter] += counts[counter];
}
