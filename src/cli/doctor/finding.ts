/** `warning`: streams work, but at a price or by luck. `problem`: they don't. */
export type Verdict = 'ok' | 'warning' | 'problem';

export type FindingId =
  | 'http'
  | 'keep-alive'
  | 'ttft'
  | 'gaps'
  | 'buffering'
  | 'compression'
  | 'heartbeats'
  | 'silence'
  | 'duration'
  | 'disconnect';

/** One thing that was looked at. */
export interface Finding {
  id: FindingId;
  verdict: Verdict;
  /** In plain words. */
  summary: string;
  /** The figures behind it; names end in their unit. */
  measured: Record<string, number | string | boolean | null>;
  /** Settings of Sluice's own that would help. */
  sluice?: string;
}

/** Nothing can be said of the path. */
export class CannotTest extends Error {
  override readonly name = 'CannotTest';
}

/** A time for people, which is right to a millisecond at best. */
export function time(ms: number): string {
  return ms < 1_000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

export function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
