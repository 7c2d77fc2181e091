import type { Response } from 'express';
import { Observable, Subscription, type Subscriber } from 'rxjs';
import type { ChatError } from '../errors/chat-error.js';
import { failed, isTerminal, type Entry, type Terminal } from '../runs/entry.js';
import type { Run } from '../runs/run.js';
import { writeWholeChunk } from '../http/whole-chunks.js';
import { isClientGone, onClientGone } from './client-gone.js';

/** A viewer hands over about this much and waits until the response took it, in characters. */
const BATCH_LENGTH = 65_536;

/** What an entry takes up at the least, in characters. */
const MIN_ENTRY_LENGTH = 64;

/** What waits for it runs when all is done that is going on now, such as reading a packet. */
const SOON = Promise.resolve();

export interface ViewerOptions {
  /** Silence after which the client is shown that the connection lives, in milliseconds. */
  heartbeatMs: number;
  /** How long a client may read nothing while something waits for it, in milliseconds. */
  writeTimeoutMs: number;
}

/**
 * One response's view of a run: a cursor over its log. It holds the run from its construction until
 * it is released, which the client's leaving does in every phase.
 *
 * A viewer never queues. What the response can't take yet stays in the run's log, so a reader that
 * stalls costs one batch and keeps nobody else waiting.
 */
export class Viewer {
  /**
   * The run's entries after the cursor, as the response can take them; an empty batch is a
   * heartbeat. Completes after the terminal entry, which a cursor can have seen before this instance.
   */
  readonly batches: Observable<readonly Entry[]>;

  /** Everything held for the client's sake. */
  private readonly holding = new Subscription();
  private onActivity: () => void = () => undefined;
  /** What ends this view and not the run. */
  private dismissal?: Terminal;
  private wroteAt = performance.now();

  /** The entry that the client has some frames of, by its number. */
  private readonly begun: number;

  /** @param frames of the entry after the cursor, how many frames the client has */
  constructor(
    readonly run: Run,
    private readonly response: Response,
    private readonly options: ViewerOptions,
    private cursor = 0,
    private readonly frames = 0,
  ) {
    this.begun = cursor + 1;
    this.batches = new Observable((subscriber) => this.pump(subscriber));
    this.holding.add(onClientGone(response, () => this.release()));
    this.holding.add(run.activity.subscribe(() => this.onActivity()));
    if (isClientGone(response)) this.release();
  }

  /** How many frames of an entry the client has. The end of a view that is cut off has another's number. */
  framesSeen(entry: Entry): number {
    const { begun, frames, run } = this;
    const isBegun = entry.seq === begun && entry === run.log.entries[begun - 1];
    return isBegun ? frames : 0;
  }

  /** Says that something was written: not every dialect shows every entry. */
  wrote() {
    this.wroteAt = performance.now();
  }

  /** Lets the run go. The last viewer's leaving cancels it. */
  release() {
    this.holding.unsubscribe();
  }

  /** Calls back when the run is let go; at once if it was. */
  onReleased(callback: () => void) {
    this.holding.add(callback);
  }

  /** Ends this view, and not the run, with an error; nothing if the run has ended. */
  dismiss(error: ChatError) {
    if (this.terminal) return;
    this.dismissal = failed(error);
    this.onActivity();
  }

  /**
   * Resolves when there is something to show, or nobody to show it to.
   * @throws {ChatError} the failure of a run that never had anything to show
   */
  async opened(): Promise<void> {
    const { log } = this.run;
    await this.until(() => log.isOpen || this.terminal !== undefined);
    const { terminal } = this;
    const hasNothing = this.dismissal !== undefined || log.entries.length <= 2;
    if (terminal?.type === 'error' && hasNothing) {
      this.release();
      throw terminal.error;
    }
  }

  /** Resolves with the run's end, or with nothing when the client left before it. */
  async finished(): Promise<Terminal | undefined> {
    await this.until(() => this.terminal !== undefined);
    this.release();
    this.dropIfStalled();
    return this.terminal;
  }

  private get terminal(): Terminal | undefined {
    return this.dismissal ?? this.run.log.terminal;
  }

  private until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.onActivity = () => {
        if (condition()) resolve();
      };
      this.onActivity();
      this.holding.add(resolve);
    });
  }

  private pump(subscriber: Subscriber<readonly Entry[]>) {
    const { response } = this;
    const { heartbeatMs } = this.options;
    /** Whether a pull is to come: after what is ready now, so that it is joined. */
    let isPulling = true;

    const pull = () => {
      if (subscriber.closed) return;
      if (response.writableNeedDrain) {
        // Whoever writes for us gets this turn to write what it still holds.
        response.once('drain', () => setImmediate(pull));
        return;
      }
      isPulling = false;
      const batch = this.nextBatch();
      if (batch.length === 0) {
        if (this.terminal) subscriber.complete();
        return;
      }
      subscriber.next(batch);
      if (isTerminal(batch.at(-1)!)) subscriber.complete();
      else if (this.cursor < this.run.log.entries.length) {
        isPulling = true;
        setImmediate(pull);
      }
    };
    const beat = () => {
      const silence = performance.now() - this.wroteAt;
      if (silence >= heartbeatMs && !response.writableNeedDrain) {
        this.wrote();
        subscriber.next([]);
      }
      heartbeat = setTimeout(beat, silence < heartbeatMs ? heartbeatMs - silence : heartbeatMs);
    };
    let heartbeat = setTimeout(beat, heartbeatMs);
    subscriber.add(() => clearTimeout(heartbeat));
    subscriber.add(() => this.release());
    this.holding.add(() => subscriber.complete());

    response.write = writeWholeChunk;
    this.dropIfStalled();
    this.onActivity = () => {
      if (isPulling) return;
      isPulling = true;
      void SOON.then(pull);
    };
    pull();
  }

  /** Node counts every byte that the client takes as activity, also within one write. */
  private dropIfStalled() {
    const { response, options } = this;
    response.setTimeout(options.writeTimeoutMs, () => {
      if (response.writableLength > 0) response.destroy();
    });
    // It is the socket's, and would hold for a pipelined response that has yet to come. First of all, as
    // Node sets it anew then for an idle connection.
    response.prependOnceListener('finish', () => response.socket?.setTimeout(0));
  }

  private nextBatch(): readonly Entry[] {
    const { log } = this.run;
    const { entries } = log;
    const start = this.cursor;
    if (this.dismissal) return [{ ...this.dismissal, seq: start }];
    if (start >= entries.length) {
      const { terminal } = log;
      // A run that was lost can have shown more than was kept of it, but not the end, which it never had.
      const isUnseen = terminal !== undefined && terminal.seq < entries.length;
      return isUnseen ? [{ ...terminal, seq: start }] : [];
    }
    this.cursor += 1;
    let length = 0;
    while (this.cursor < entries.length) {
      length += lengthOf(entries[this.cursor - 1]!);
      if (length >= BATCH_LENGTH) break;
      this.cursor += 1;
    }
    return entries.slice(start, this.cursor);
  }
}

/** About how many characters an entry becomes; its chunks have all that any dialect shows of it. */
function lengthOf({ chunks }: Entry): number {
  let length = MIN_ENTRY_LENGTH;
  if (chunks) for (const json of chunks) length += json.length;
  return length;
}
