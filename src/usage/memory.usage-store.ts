import {
  addCounts,
  MAX_MODELS,
  noCounts,
  OTHER,
  type Counts,
  type Day,
  type UsageRow,
  type UsageStore,
} from './usage-store.js';

/** Rows of all owners and days; the oldest days go first. */
const MAX_ROWS = 100_000;

/** The usage of one process, until it ends. */
export class MemoryUsageStore implements UsageStore {
  /** By day, the oldest first, then by owner, then by model. */
  private readonly days = new Map<Day, Map<string, Map<string, Counts>>>();
  private rows = 0;

  constructor(private readonly maxRows = MAX_ROWS) {}

  add(owner: string, day: Day, model: string, counts: Counts) {
    const owners = getOr(this.days, day, () => new Map<string, Map<string, Counts>>());
    const models = getOr(owners, owner, () => new Map<string, Counts>());
    const name = models.has(model) || models.size < MAX_MODELS ? model : OTHER;
    if (!models.has(name)) this.rows += 1;
    addCounts(getOr(models, name, noCounts), counts);
    for (const oldest of this.days.keys()) {
      if (this.rows <= this.maxRows || oldest === day) break;
      for (const each of this.days.get(oldest)!.values()) this.rows -= each.size;
      this.days.delete(oldest);
    }
  }

  read(owner: string, days: readonly Day[]): Promise<UsageRow[]> {
    const rows = days.flatMap((date) =>
      [...(this.days.get(date)?.get(owner) ?? [])].map(([model, counts]) => ({
        date,
        model,
        ...counts,
      })),
    );
    return Promise.resolve(rows);
  }
}

function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
