import { Injectable } from '@nestjs/common';
import { Metrics } from '../telemetry/metrics.js';
import type { Breaker } from './breaker.js';
import { RouterService } from './router.service.js';
import { TargetHealth } from './target-health.js';

const STATES: readonly Breaker['state'][] = ['closed', 'open', 'half_open'];

/** Shows the circuit breakers. */
@Injectable()
export class RoutingMetrics {
  constructor(
    private readonly health: TargetHealth,
    private readonly router: RouterService,
    metrics: Metrics,
  ) {
    metrics.gauges(
      'sluice_breaker_state',
      'Targets whose circuit breaker is in this state.',
      ['target', 'state'],
      () => this.states(),
    );
  }

  /** Of those that were asked. Targets that nobody configured share a name, and so are counted. */
  private states() {
    const counts = new Map<string, Map<string, number>>();
    for (const { name, breaker } of this.health.list()) {
      const { target } = this.router.labelsOf(name);
      const states = counts.get(target) ?? new Map(STATES.map((state) => [state as string, 0]));
      counts.set(target, states.set(breaker.state, states.get(breaker.state)! + 1));
    }
    return [...counts].flatMap(([target, states]) =>
      [...states].map(([state, value]) => ({ target, state, value })),
    );
  }
}
