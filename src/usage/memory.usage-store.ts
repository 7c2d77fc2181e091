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

/** Rows of all owners and days; the oldest go first. */
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
    if (this.rows > this.maxRows) this.forget(models);
  }

  /** Forgets owners of the oldest day, until the rest is few enough; never the one in question. */
  private forget(kept: Map<string, Counts>) {
    for (const [day, owners] of this.days) {
      for (const [owner, models] of owners) {
        if (this.rows <= this.maxRows) return;
        if (models === kept) continue;
        owners.delete(owner);
        this.rows -= models.size;
      }
      if (owners.size === 0) this.days.delete(day);
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
