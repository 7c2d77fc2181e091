import type { Figures } from './phases.js';

interface Column {
  title: string;
  /** The figures that it shows. */
  of: string[];
  digits?: number;
  /** What one has to multiply the figures with. */
  factor?: number;
}

const COLUMNS: Column[] = [
  { title: 'CPU µs a token', of: ['cpuUs'], digits: 1 },
  { title: 'TTFT alone p50 ms', of: ['aloneP50'], digits: 2 },
  { title: 'TTFT burst p50 / p99 ms', of: ['burstP50', 'burstP99'], digits: 1 },
  { title: 'TTFT steady p50 / p99 ms', of: ['ttftP50', 'ttftP99'], digits: 1 },
  { title: 'added transit p50 / p99 ms', of: ['addedP50', 'addedP99'], digits: 2 },
  { title: 'ITL p99 ms', of: ['itlP99'], digits: 1 },
  { title: 'KB a stream, few / many', of: ['kbFew', 'kbMany'] },
  { title: 'intact of many %', of: ['sustained'], factor: 100 },
  { title: 'KB a stalled reader', of: ['stalledKb'] },
  { title: 'close p50 / p99 ms', of: ['closeP50', 'closeP99'], digits: 1 },
  { title: 'closed %', of: ['closed'], factor: 100 },
];

/** The medians of all rows, in Markdown; columns that nothing was measured for are left out. */
export function table(medians: ReadonlyMap<string, Figures>): string {
  const rows = [...withAddedTransit(medians)];
  const columns = COLUMNS.filter(({ of }) => rows.some(([, figures]) => known(figures[of[0]!])));
  const lines = [
    ['row', ...columns.map(({ title }) => title)],
    ['---', ...columns.map(() => '---:')],
    ...rows.map(([name, figures]) => [name, ...columns.map((column) => cell(figures, column))]),
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** What a gateway adds to the time from upstream to client. */
export function withAddedTransit(
  medians: ReadonlyMap<string, Figures>,
): ReadonlyMap<string, Figures> {
  const direct = medians.get('direct');
  if (!direct) return medians;
  return new Map(
    [...medians].map(([name, figures]) => [
      name,
      name === 'direct'
        ? figures
        : {
            ...figures,
            addedP50: figures.transitP50! - direct.transitP50!,
            addedP99: figures.transitP99! - direct.transitP99!,
          },
    ]),
  );
}

function cell(figures: Figures, { of, digits = 0, factor = 1 }: Column): string {
  const values = of.map((name) => figures[name]);
  if (!values.some(known)) return '';
  return values.map((value) => ((value ?? NaN) * factor).toFixed(digits)).join(' / ');
}

function known(value: number | undefined): boolean {
  return value !== undefined && !Number.isNaN(value);
}
