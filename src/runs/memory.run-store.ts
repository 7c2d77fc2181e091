import { EMPTY } from 'rxjs';
import type { LocalRun } from './local.run.js';
import { RunLog } from './run-log.js';
import type { ChatLink, Claim, ListOptions, RunStore } from './run-store.js';
import type { Run, RunState } from './run.js';

export interface Retention {
  /** How long a run is found after it ended, in milliseconds. */
  retentionMs: number;
  /** Characters that the entries of ended runs may take up together. */
  maxSize: number;
}

/** Ended runs that are found at the most, whatever became of their entries. */
const MAX_ENDED = 20_000;

/** The runs of one process. */
export class MemoryRunStore implements RunStore {
  readonly isDegraded = false;

  private readonly runs = new Map<string, Run>();
  private readonly active = new Map<string, LocalRun>();
  /** Ended runs, the oldest first, with the time by `performance.now()` at which they are forgotten. */
  private readonly ended = new Map<string, number>();
  private readonly claims = new Map<string, Claim>();
  /** The keys that each run holds. */
  private readonly keys = new Map<string, string>();
  private readonly chats = new Map<string, ChatLink>();
  /** The chat that shows each run. */
  private readonly chatOf = new Map<string, string>();
  /** Entries that are kept of ended runs, the oldest first. */
  private readonly kept = new Map<string, number>();
  private keptSize = 0;
  private sweeping?: NodeJS.Timeout;

  constructor(private readonly retention: Retention) {}

  add(run: LocalRun) {
    this.runs.set(run.id, run);
    this.active.set(run.id, run);
    run.log.subscribe({ complete: () => this.retain(run) });
  }

  find(id: string): Promise<Run | undefined> {
    return Promise.resolve(this.runs.get(id));
  }

  list(owner: string, { status, limit }: ListOptions): Promise<RunState[]> {
    const own = [...this.runs.values()].reverse().filter((run) => run.owner === owner);
    const states = own.map(({ state }) => state);
    const wanted = states.filter((state) => state.status === (status ?? state.status));
    return Promise.resolve(wanted.slice(0, limit));
  }

  remove({ id }: Pick<Run, 'id'>): Promise<void> {
    this.runs.delete(id);
    this.active.delete(id);
    this.ended.delete(id);
    this.drop(id);
    const key = this.keys.get(id);
    this.keys.delete(id);
    if (key !== undefined && this.claims.get(key)?.runId === id) this.claims.delete(key);
    this.unlink(id);
    return Promise.resolve();
  }

  claim(key: string, claim: Claim): Promise<Claim> {
    const holder = this.claims.get(key);
    if (holder) return Promise.resolve(holder);
    this.claims.set(key, claim);
    this.keys.set(claim.runId, key);
    return Promise.resolve(claim);
  }

  release(key: string, runId: string): Promise<void> {
    if (this.claims.get(key)?.runId === runId) this.claims.delete(key);
    return Promise.resolve();
  }

  linkChat(chat: string, link: ChatLink): Promise<ChatLink | undefined> {
    const before = this.chats.get(chat);
    this.unlink(link.runId);
    this.chats.set(chat, link);
    this.chatOf.set(link.runId, chat);
    return Promise.resolve(before);
  }

  findChat(chat: string): Promise<ChatLink | undefined> {
    return Promise.resolve(this.chats.get(chat));
  }

  live(): LocalRun[] {
    return [...this.active.values()];
  }

  liveRun(id: string): LocalRun | undefined {
    return this.active.get(id);
  }

  abandonViews() {
    // Whoever views a run here views one that ends here.
  }

  /** Whether the run is there with its entries. */
  keeps(id: string): boolean {
    return this.runs.get(id)?.isKept === true;
  }

  private retain(run: LocalRun) {
    this.active.delete(run.id);
    if (!this.runs.has(run.id)) return;
    this.runs.set(run.id, ended(run, run.log));
    this.ended.set(run.id, performance.now() + this.retention.retentionMs);
    this.kept.set(run.id, run.size);
    this.keptSize += run.size;
    for (const id of this.kept.keys()) {
      if (this.keptSize <= this.retention.maxSize) break;
      this.drop(id);
      this.runs.set(id, withoutEntries(this.runs.get(id)!));
    }
    this.sweep();
  }

  /** Forgets what has been retained long enough, now and whenever the next one is due. */
  private sweep() {
    const now = performance.now();
    for (const [id, due] of this.ended) {
      if (due > now && this.ended.size <= MAX_ENDED) {
        this.sweeping ??= setTimeout(() => {
          this.sweeping = undefined;
          this.sweep();
        }, due - now).unref();
        return;
      }
      void this.remove({ id });
    }
  }

  private unlink(runId: string) {
    const chat = this.chatOf.get(runId);
    this.chatOf.delete(runId);
    if (chat !== undefined && this.chats.get(chat)?.runId === runId) this.chats.delete(chat);
  }

  private drop(id: string) {
    this.keptSize -= this.kept.get(id) ?? 0;
    this.kept.delete(id);
  }
}

/** What is kept of a run that has ended: nothing of its request, which can be larger than all else. */
function ended({ id, owner, choices, model, state }: Run, log: RunLog): Run {
  return {
    id,
    owner,
    choices,
    model,
    state,
    log,
    activity: EMPTY,
    locate: (seq) => log.locate(seq),
    isKept: true,
    cancel: () => Promise.resolve(),
  };
}

/** The same when the entries had to go; those who view the run still have them. */
function withoutEntries(run: Run): Run {
  const { length } = run.log.entries;
  const end = ended(run, new RunLog());
  return { ...end, locate: (seq) => (seq === length ? 'end' : 'within'), isKept: false };
}
