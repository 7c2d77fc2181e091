import { Subject } from 'rxjs';
import { isTerminal, type Draft, type Entry, type Terminal } from './entry.js';

/**
 * The numbered entries of a run, in one array that all its viewers share. As a Subject it only says
 * that there is more: a viewer reads the entries here, from its cursor and at its own pace.
 */
export class RunLog extends Subject<Draft> {
  readonly entries: Entry[] = [];

  /** @param first makes what opens the log, when something else is about to */
  constructor(private first?: () => Draft) {
    super();
  }

  /** The last entry, once the run is over. */
  get terminal(): (Entry & Terminal) | undefined {
    const last = this.entries.at(-1);
    return last && isTerminal(last) ? last : undefined;
  }

  /** Whether anything happened yet. From then on a viewer's answer has begun. */
  get isOpen(): boolean {
    return this.entries.length > 0;
  }

  /** Where a cursor stands: ahead of the log, at its very end, or where there is more to come. */
  locate(seq: number): 'ahead' | 'end' | 'within' {
    const { length } = this.entries;
    if (seq > length) return 'ahead';
    return this.terminal && seq === length ? 'end' : 'within';
  }

  open() {
    if (this.begin()) super.next(this.entries[0]!);
  }

  override next(draft: Draft) {
    this.begin();
    this.append(draft);
    super.next(draft);
  }

  /** Ends the log with an event that its run never had, and that so has no number of its own. */
  abandon(terminal: Terminal) {
    this.entries.push({ ...terminal, seq: this.entries.length });
    super.next(terminal);
    this.complete();
  }

  private begin(): boolean {
    if (!this.first) return false;
    this.append(this.first());
    // It refers to the run, which is not kept for as long as its log.
    this.first = undefined;
    return true;
  }

  private append(draft: Draft) {
    const entry = draft as Entry;
    entry.seq = this.entries.length + 1;
    this.entries.push(entry);
  }
}
