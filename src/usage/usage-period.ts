import { z } from 'zod';
import { ChatError } from '../errors/chat-error.js';
import { RETENTION_DAYS, type Day } from './usage-store.js';

const DAY_MS = 24 * 60 * 60 * 1000;

/** What is told without being asked for more, in days. */
const DEFAULT_DAYS = 30;

/** Days of UTC, both included. */
export interface Period {
  start: Day;
  end: Day;
}

const date = z.iso.date({ error: 'expected a date such as 2026-01-31' }).optional();

const querySchema = z.object({
  start: date,
  end: date,
  model: z.string({ error: 'expected one name of a model' }).optional(),
});

/**
 * What the query of `GET /v1/usage` asks for: the last days unless it says something else.
 * @throws {ChatError} `invalid_request`
 */
export function usageQuery(query: unknown, now = Date.now()): Period & { model?: string } {
  const result = querySchema.safeParse(query);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw invalid(issue!.path.join('.'), issue!.message);
  }
  const { model, end = dayOf(now) } = result.data;
  const { start = dayOf(Date.parse(end) - (DEFAULT_DAYS - 1) * DAY_MS) } = result.data;
  const length = (Date.parse(end) - Date.parse(start)) / DAY_MS + 1;
  if (length < 1) throw invalid('start', 'expected a day before the end');
  if (length > RETENTION_DAYS) {
    throw invalid('start', `expected at most ${RETENTION_DAYS} days, which is what is kept`);
  }
  return { start, end, model };
}

/** Every day of a period. */
export function daysOf({ start, end }: Period): Day[] {
  const days: Day[] = [];
  for (let at = Date.parse(start); at <= Date.parse(end); at += DAY_MS) days.push(dayOf(at));
  return days;
}

function dayOf(time: number): Day {
  return new Date(time).toISOString().slice(0, 10);
}

function invalid(param: string, message: string): ChatError {
  return new ChatError('invalid_request', `${param}: ${message}`, { param });
}
