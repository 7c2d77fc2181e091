import type { RunRecord } from './run-record.js';

/**
 * Estimates what cancelling a run saved. Nobody knows how long its answer would have been: what is
 * known is how long the target's complete answers were, on average since this process started.
 */
export class SavedTokens {
  /** By target. */
  private readonly completed = new Map<string, { runs: number; tokens: number }>();

  /**
   * Takes a run into account that has ended.
   * @param target one of few names
   * @param tokens what it generated
   * @returns the tokens by which it stayed below the average, if it was cancelled
   */
  of(status: RunRecord['status'], target: string, tokens: number): number {
    const so = this.completed.get(target) ?? { runs: 0, tokens: 0 };
    if (status === 'completed') {
      this.completed.set(target, { runs: so.runs + 1, tokens: so.tokens + tokens });
    }
    if (status !== 'cancelled' || so.runs === 0) return 0;
    return Math.max(0, so.tokens / so.runs - tokens);
  }
}
