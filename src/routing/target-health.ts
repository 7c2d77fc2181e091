import { Injectable } from '@nestjs/common';
import { Breaker } from './breaker.js';
import { Bulkhead } from './bulkhead.js';

/** Targets that are remembered at the most: callers name models as they like. */
const MAX_TARGETS = 1_000;

/** What is known of a target, by its name: it outlives the configuration that the target is in. */
export class TargetState {
  readonly breaker = new Breaker();
  readonly bulkhead = new Bulkhead();

  constructor(readonly name: string) {}
}

/** How the targets do that were asked, for those who route, report and measure. */
@Injectable()
export class TargetHealth {
  /** The one that was asked last is the last. */
  private readonly targets = new Map<string, TargetState>();

  of(name: string): TargetState {
    const target = this.targets.get(name) ?? new TargetState(name);
    this.targets.delete(name);
    this.targets.set(name, target);
    if (this.targets.size > MAX_TARGETS) this.forgetOne();
    return target;
  }

  list(): readonly TargetState[] {
    return [...this.targets.values()];
  }

  /** A target with requests keeps its state, or it would get more of them than it may. */
  private forgetOne() {
    const idle = this.list().find(({ bulkhead }) => bulkhead.isIdle);
    if (idle) this.targets.delete(idle.name);
  }
}
