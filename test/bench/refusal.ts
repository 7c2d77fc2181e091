import type { Figures } from './phases.js';
import type { Row } from './rows.js';
import { median } from './stats.js';

/** Below this the box has other things to do. */
const MIN_IDLE_BEFORE = 0.9;

/** Cores that others used, of all; the kernel's own work counts too. */
const MAX_FOREIGN_LOAD = 0.15;

const MAX_STEAL_LOAD = 0.05;

/** Of a core. Above this a single-threaded process makes its tokens wait. */
const MAX_HELPER_LOAD = 0.75;

/** Of a core: idle time that is left in the median round of a row that is not at its ceiling. */
const MAX_GATEWAY_LOAD = 0.95;

/** Why figures say something about the box rather than about the rows. */
export function reasonsToRefuse(
  idleBefore: number,
  measured: ReadonlyMap<Row, Figures[]>,
): string[] {
  const reasons: string[] = [];
  if (idleBefore < MIN_IDLE_BEFORE) {
    reasons.push(`the box was busy before: ${percent(idleBefore)} idle`);
  }
  for (const [{ name }, all] of measured) {
    const typical = (figure: string) => median(all.flatMap((figures) => figures[figure] ?? []));
    const over = (figure: string, limit: number, what: string) => {
      const load = typical(figure);
      if (load > limit) reasons.push(`${name}: ${what} (${percent(load)} of a core)`);
    };
    over('upstreamLoad', MAX_HELPER_LOAD, 'the upstream was near its own ceiling');
    over('clientLoad', MAX_HELPER_LOAD, 'the load client was near its own ceiling');
    over('foreignLoad', MAX_FOREIGN_LOAD, 'others used the box');
    over('stealLoad', MAX_STEAL_LOAD, 'the hypervisor took time');
    // The naive gateway may be at its ceiling: then its figures flatter it, and nobody else.
    if (name !== 'naive') over('gatewayLoad', MAX_GATEWAY_LOAD, 'the gateway was at its ceiling');
  }
  return reasons;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
