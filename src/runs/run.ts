import type { Observable } from 'rxjs';
import type { Usage } from './entry.js';
import type { RunLog } from './run-log.js';

export const RUN_STATUSES = ['queued', 'running', 'completed', 'failed', 'cancelled'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/**
 * What `GET /v1/runs/:id` tells of a run; times in ISO 8601. How it ends is told as soon as that is known;
 * `ended_at`, and with it the usage, when its tokens are counted.
 */
export interface RunState {
  id: string;
  object: 'run';
  status: RunStatus;
  /** The model that was asked for; null for the default. */
  model: string | null;
  /** What generates: `<provider>/<model>`. */
  target: string;
  finish_reason: string | null;
  usage: Usage | null;
  error: { code: string; message: string; retryable: boolean } | null;
  created_at: string;
  started_at: string | null;
  first_token_at: string | null;
  ended_at: string | null;
}

/** A run as viewers see it, wherever it is generated. */
export interface Run {
  readonly id: string;
  /** The key that started it; nobody else may know that it exists. */
  readonly owner: string;
  /** How many answers it generates. */
  readonly choices: number;
  /** The model that was asked for; null for the default. */
  readonly model: string | null;
  readonly state: RunState;
  readonly log: RunLog;
  /** Emits when the log has grown and completes after the terminal entry. Never an error. */
  readonly activity: Observable<unknown>;
  /** False once its entries were dropped for the sake of memory: only the state is left. */
  readonly isKept: boolean;
  /** Where a cursor stands: ahead of the run, at its very end, or where there is more to come. */
  locate(seq: number): 'ahead' | 'end' | 'within';
  /** Stops the generation and closes its upstream. Resolves with the run's end; idempotent. */
  cancel(): Promise<void>;
}

/** Whether it is not known yet how the run ends. */
export function isActive({ state: { status } }: Run): boolean {
  return status === 'queued' || status === 'running';
}
