import type { Figures } from './phases.js';
import type { Row } from './rows.js';
import { median } from './stats.js';

/** Below this the box has other things to do. */
const MIN_IDLE_BEFORE = 0.9;

/** Cores that others used, of all; the kernel's own work counts too. */
export const MAX_FOREIGN_LOAD = 0.15;

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
  const over = (who: string, all: Figures[], figure: string, limit: number, what: string) => {
    const load = median(all.flatMap((figures) => figures[figure] ?? []));
    if (load > limit) reasons.push(`${who}: ${what} (${percent(load)} of a core)`);
  };
  for (const [{ name }, all] of measured) {
    over(name, all, 'upstreamLoad', MAX_HELPER_LOAD, 'the upstream was near its own ceiling');
    over(name, all, 'clientLoad', MAX_HELPER_LOAD, 'the load client was near its own ceiling');
    over(name, all, 'foreignLoad', MAX_FOREIGN_LOAD, 'others used the box');
    over(name, all, 'stealLoad', MAX_STEAL_LOAD, 'the hypervisor took time');
    // The naive gateway may be at its ceiling: then its figures flatter it, and nobody else.
    if (name !== 'naive') {
      over(name, all, 'gatewayLoad', MAX_GATEWAY_LOAD, 'the gateway was at its ceiling');
    }
  }
  // Rows take turns in `alone`, so that what is true of one is true of all.
  const [anyRow = []] = measured.values();
  over('alone', anyRow, 'aloneForeignLoad', MAX_FOREIGN_LOAD, 'others used the box');
  over('alone', anyRow, 'aloneStealLoad', MAX_STEAL_LOAD, 'the hypervisor took time');
  return reasons;
}

/** A share as it is printed. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
