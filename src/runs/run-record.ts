import { Injectable } from '@nestjs/common';
import { Subject } from 'rxjs';
import type { ErrorCode } from '../errors/chat-error.js';
import type { Usage } from './entry.js';

/** What is known of a run that is over, whatever its end. No word of what was asked or answered. */
export interface RunRecord {
  run_id: string;
  /** Who started it: whose it is, and the name of that key or token, for people to read. */
  owner: string;
  name: string;
  request_id: string | null;
  trace_id: string | null;
  /** The model that was asked for; null for the default. */
  model: string | null;
  /** What answered: `<provider>/<model>`. */
  target: string;
  status: 'completed' | 'failed' | 'cancelled';
  finish_reason: string | null;
  error_code: ErrorCode | null;
  /** Tokens of the prompt, and those of them that came from the provider's cache. */
  prompt_tokens: number;
  cached_tokens: number;
  /** Tokens generated, and those of them that were reasoning. */
  completion_tokens: number;
  reasoning_tokens: number;
  total_tokens: number;
  /** Tokens generated after the last viewer had left, if none came back before the end. */
  unseen_tokens: number;
  /** Who counted; null where nothing was used, or it could not be counted. */
  token_source: Usage['source'] | null;
  /** What was generated, as UTF-8, and in how many pieces it came. */
  bytes: number;
  chunks: number;
  /** Responses that showed the run; those of another instance count as one at a time. */
  viewers: number;
  /** ISO 8601. */
  created_at: string;
  /** Milliseconds from the run's creation to its first content, and to its end. */
  ttft_ms: number | null;
  duration_ms: number;
}

/** Emits the record of every run of this instance when it ends. A subscriber must not throw. */
@Injectable()
export class RunRecords extends Subject<RunRecord> {}

/** A usage by kinds of tokens. */
export function tokensOf(usage: Usage | null) {
  return {
    prompt_tokens: usage?.prompt_tokens ?? 0,
    cached_tokens: countOf(usage?.prompt_tokens_details?.cached_tokens),
    completion_tokens: usage?.completion_tokens ?? 0,
    reasoning_tokens: countOf(usage?.completion_tokens_details?.reasoning_tokens),
    total_tokens: usage?.total_tokens ?? 0,
    token_source: usage?.source ?? null,
  };
}

/** Details come from upstream as they are, and are added up. */
function countOf(value: unknown): number {
  return isCount(value) ? value : 0;
}

/** Whether it is a number of tokens, which upstream gives as it likes. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
