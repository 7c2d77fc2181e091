import type { BreakerSettings } from '../config/file/breaker.schema.js';

/** What an attempt says of its target's health. */
export type Outcome = 'success' | 'failure' | 'nothing';

/**
 * Keeps attempts away from a target that fails. After so many failures in a row it opens, and
 * nothing passes. After a while it lets one attempt at a time pass as a probe, until one succeeds
 * and closes it or fails and opens it anew.
 */
export class Breaker {
  /** In a row. */
  failures = 0;
  /** When a probe may pass, by `performance.now()`; undefined while it is closed. */
  private probeAt?: number;
  private isProbed = false;
  /** Grows whenever it opens, also anew, or closes: attempts from before say nothing any more. */
  private period = 0;

  get state(): 'closed' | 'open' | 'half_open' {
    if (this.probeAt === undefined) return 'closed';
    return performance.now() < this.probeAt ? 'open' : 'half_open';
  }

  /** How long nothing will pass, in milliseconds; 0 unless it is open. */
  get waitMs(): number {
    return Math.max(0, (this.probeAt ?? 0) - performance.now());
  }

  /**
   * Lets an attempt pass.
   * @returns what must be told how it went, whose first word counts; undefined if it may not pass
   */
  enter({ failures, openMs }: BreakerSettings): ((outcome: Outcome) => void) | undefined {
    const { state, period } = this;
    if (state === 'open' || this.isProbed) return undefined;
    const isProbe = (this.isProbed = state === 'half_open');
    let isTold = false;
    return (outcome) => {
      // What was sent before it opened, or before it closed, says nothing of now.
      if (isTold || period !== this.period) return;
      isTold = true;
      if (isProbe) this.isProbed = false;
      if (outcome === 'success') this.close();
      if (outcome !== 'failure') return;
      this.failures += 1;
      if (isProbe || this.failures >= failures) this.open(openMs);
    };
  }

  private open(ms: number) {
    this.period += 1;
    this.probeAt = performance.now() + ms;
  }

  private close() {
    this.failures = 0;
    if (this.probeAt === undefined) return;
    this.period += 1;
    this.probeAt = undefined;
  }
}
