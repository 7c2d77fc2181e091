import {
  DAY_MS,
  STEP_MS,
  STEPS,
  type Decision,
  type LimitStore,
  type MinuteUse,
  type Place,
  type Scope,
  type Taking,
} from './limit-store.js';

/** Scopes that are known at the most; those that were not asked of for longest go first. */
const MAX_SCOPES = 50_000;

/** What was used of one scope. */
interface Counts {
  /** By step, the oldest first. */
  requests: Map<number, number>;
  tokens: Map<number, number>;
  day: number;
  today: number;
  /** Ids of their places. */
  streams: Set<string>;
}

/** The limits of one process. Its places end with it. */
export class MemoryLimitStore implements LimitStore {
  private readonly scopes = new Map<string, Counts>();
  private lastId = 0;

  /** @param stepMs a sixtieth of what is taken for a minute */
  constructor(
    private readonly stepMs = STEP_MS,
    private readonly maxScopes = MAX_SCOPES,
  ) {}

  take(taking: Taking): Promise<Decision> {
    const at = Date.now();
    const { scopes, tokens } = taking;
    const all = scopes.map((scope) => this.countsOf(taking.owner, scope, at));
    const standings = all.map((counts, index) => {
      const { requestsPerMinute, tokensPerMinute } = scopes[index]!.limits;
      return {
        requests: this.use(counts.requests, at, 1, requestsPerMinute),
        tokens: this.use(counts.tokens, at, tokens, tokensPerMinute),
        today: counts.today,
        streams: counts.streams.size,
      };
    });
    const fits = standings.every(({ requests, tokens: minute, today, streams }, index) => {
      const { tokensPerDay = Infinity, concurrentStreams = Infinity } = scopes[index]!.limits;
      const isInMinute = requests.waitMs === 0 && minute.waitMs === 0;
      return isInMinute && today + tokens <= tokensPerDay && streams < concurrentStreams;
    });
    if (!fits) return Promise.resolve({ at, standings });
    const step = this.stepOf(at);
    const id = String((this.lastId += 1));
    for (const counts of all) {
      add(counts.requests, step, 1);
      add(counts.tokens, step, tokens);
      counts.today += tokens;
      counts.streams.add(id);
    }
    return Promise.resolve({ place: { ...taking, id, at }, at, standings });
  }

  release({ id, owner, scopes }: Place) {
    const now = Date.now();
    for (const scope of scopes) this.countsOf(owner, scope, now).streams.delete(id);
  }

  settle(place: Place, used: number) {
    this.release(place);
    const { owner, scopes, tokens, at } = place;
    const now = Date.now();
    const more = used - tokens;
    for (const scope of scopes) {
      const counts = this.countsOf(owner, scope, now);
      const taken = this.stepOf(at);
      // What was too much counts no more if it was longer ago than a minute; what was too little does.
      if (counts.tokens.has(taken)) add(counts.tokens, taken, more);
      else if (more > 0) add(counts.tokens, this.stepOf(now), more);
      if (dayOf(at) === counts.day) counts.today += more;
    }
  }

  private countsOf(owner: string, { models }: Scope, now: number): Counts {
    const name = JSON.stringify([owner, models]);
    const day = dayOf(now);
    const counts = this.scopes.get(name) ?? {
      requests: new Map<number, number>(),
      tokens: new Map<number, number>(),
      day,
      today: 0,
      streams: new Set<string>(),
    };
    if (counts.day !== day) Object.assign(counts, { day, today: 0 });
    const last = this.stepOf(now);
    for (const steps of [counts.requests, counts.tokens]) {
      // Later ones are of a clock that was set back since: they would count until it has caught up.
      for (const step of steps.keys()) if (step < last - STEPS || step > last) steps.delete(step);
    }
    this.scopes.delete(name);
    this.scopes.set(name, counts);
    for (const [each, { streams }] of this.scopes) {
      if (this.scopes.size <= this.maxScopes) break;
      if (streams.size === 0 && each !== name) this.scopes.delete(each);
    }
    return counts;
  }

  private use(
    steps: Map<number, number>,
    now: number,
    wanted: number,
    limit = Infinity,
  ): MinuteUse {
    let used = 0;
    let resetMs = 0;
    for (const [step, count] of steps) {
      used += count;
      if (count > 0) resetMs = this.endOf(step) - now;
    }
    if (used + wanted <= limit) return { used, resetMs, waitMs: 0 };
    let left = used;
    for (const [step, count] of steps) {
      left -= count;
      if (left + wanted <= limit) return { used, resetMs, waitMs: this.endOf(step) - now };
    }
    return { used, resetMs, waitMs: Infinity };
  }

  private stepOf(time: number): number {
    return Math.floor(time / this.stepMs);
  }

  /** When a step is no longer in the last minute. */
  private endOf(step: number): number {
    return (step + STEPS + 1) * this.stepMs;
  }
}

function dayOf(time: number): number {
  return Math.floor(time / DAY_MS);
}

function add(steps: Map<number, number>, step: number, count: number) {
  steps.set(step, (steps.get(step) ?? 0) + count);
}
