import parse from 'parse-prometheus-text-format';
import { open } from './http.js';

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** What `/metrics` says, by a Prometheus parser. */
export class Scrape {
  /** What each metric is: COUNTER, GAUGE or HISTOGRAM. */
  readonly types: ReadonlyMap<string, string>;
  /** Of histograms their `_bucket`, `_sum` and `_count`. */
  readonly samples: readonly Sample[];

  /** @throws when it can't be parsed */
  constructor(readonly text: string) {
    this.types = new Map(parse(text).map(({ name, type }) => [name, type]));
    // Of histograms with labels the parser understands the lines, but not what they amount to.
    const lines = parse(text.replace(/^#.*\n/gm, ''));
    this.samples = lines.flatMap(({ name, metrics }) =>
      metrics.map(({ labels = {}, value }) => ({ name, labels, value: Number(value) })),
    );
  }

  static async of(port: number, headers: Record<string, string> = {}): Promise<Scrape> {
    const call = open({ port, path: '/metrics', headers });
    await call.ended;
    if ((await call.status) !== 200) throw new Error(`/metrics answered ${await call.status}`);
    return new Scrape(call.text());
  }

  /** The sum of all samples of this name that have these labels. */
  sum(name: string, labels: Record<string, string> = {}): number {
    const has = (sample: Sample) =>
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value);
    return this.samples
      .filter((sample) => sample.name === name && has(sample))
      .reduce((sum, { value }) => sum + value, 0);
  }

  /** The values that a label has, on whichever metric. */
  valuesOf(label: string): string[] {
    return [...new Set(this.samples.flatMap(({ labels }) => labels[label] ?? []))].sort();
  }
}
