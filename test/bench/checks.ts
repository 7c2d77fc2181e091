import type { Figures } from './phases.js';
import { withAddedTransit } from './table.js';

export interface Check {
  what: string;
  value: number;
  limit: number;
  /** Where the limit is from below. */
  atLeast?: boolean;
  passes: boolean;
}

/** Sluice's dialects and what each is held against. */
const FLOORS = { json: 'sse-floor', openai: 'write-floor' } as const;

/** What Sluice promises of its cost; what was not measured is not judged. */
export function checks(measured: ReadonlyMap<string, Figures>): Check[] {
  const medians = withAddedTransit(measured);
  const found: Check[] = [];
  const add = (what: string, value: number, limit: number, atLeast?: boolean) => {
    if (Number.isNaN(value)) return;
    found.push({ what, value, limit, atLeast, passes: atLeast ? value >= limit : value <= limit });
  };
  const get = (row: string, figure: string) => medians.get(row)?.[figure] ?? NaN;
  const ratio = (what: string, figure: string, row: string, base: string, limit: number) => {
    const against = get(base, figure);
    // An added time below zero is noise, and nothing to be held against.
    const value = against <= 0 ? Infinity : get(row, figure) / against;
    add(`${what}: ${row} / ${base}`, value, limit);
  };

  for (const [row, floor] of Object.entries(FLOORS)) {
    ratio('CPU a token', 'cpuUs', row, floor, 1.25);
    ratio('CPU a token', 'cpuUs', row, 'naive', 0.5);
    ratio('CPU a token (an aim)', 'cpuUs', row, 'pipe', row === 'json' ? 1.5 : 1.15);
    ratio('CPU a token', 'cpuUs', `${row}+redis`, row, 1.25);
    ratio('CPU a token', 'cpuUs', `${row}+limits`, row, 1.05);
    add(
      `TTFT p50 more, ms: ${row}+limits`,
      get(`${row}+limits`, 'aloneP50') - get(row, 'aloneP50'),
      0.2,
    );
    ratio('added transit p50', 'addedP50', row, floor, 1.3);
    ratio('added transit p99', 'addedP99', row, floor, 2);
    ratio('TTFT p50 in a burst', 'burstP50', row, floor, 1.5);
    ratio('TTFT p50 in a burst', 'burstP50', row, 'naive', 0.3);
    ratio('KB a stream', 'kbFew', row, floor, 1.3);
    ratio('KB a stream', 'kbFew', row, 'naive', 0.6);
    ratio('close p99', 'closeP99', row, 'pipe', 2);
    add(`closed, share: ${row}`, get(row, 'closed'), 1, true);
    add(`intact, share: ${row}`, get(row, 'intact'), 1, true);
    add(`intact in a burst, share: ${row}`, get(row, 'burstIntact'), 1, true);
    add(`intact of many, share: ${row}`, get(row, 'sustained'), 1, true);
    add(`KB a stalled reader: ${row}`, get(row, 'stalledKb'), 1024);
  }
  return found;
}

export function describeChecks(found: readonly Check[]): string {
  const lines = found.map(({ what, value, limit, atLeast, passes }) => {
    const bound = `${atLeast ? '≥' : '≤'} ${limit}`;
    return `| ${passes ? '✓' : '✗'} | ${what} | ${value.toFixed(2)} | ${bound} |`;
  });
  return ['| | | measured | limit |', '|---|---|---:|---:|', ...lines].join('\n');
}
