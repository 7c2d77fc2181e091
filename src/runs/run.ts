import { randomBytes } from 'node:crypto';
import {
  catchError,
  concatWith,
  defer,
  delay,
  EMPTY,
  ignoreElements,
  merge,
  mergeMap,
  Observable,
  of,
  ReplaySubject,
  share,
  takeUntil,
  takeWhile,
  tap,
  timer,
} from 'rxjs';
import { ChatError, toChatError } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import { isTerminal, type Draft, type Terminal } from './entry.js';
import { RunLog } from './run-log.js';
import { Transcriber } from './transcriber.js';

/** After its last finish reason upstream gets this long for the usage and the end of its stream. */
const USAGE_WAIT_MS = 2_000;

export interface RunOptions {
  /** The provider's output, cold: the run subscribes to it once, ever. */
  source: Observable<Frame>;
  /** The name of what generates, for the run's events. */
  target: string;
  /** How many answers were asked for. */
  choices: number;
  /** A run without content is opened after this long all the same, in milliseconds. */
  commitAfterMs: number;
  /** Characters of output after which the run fails. */
  maxLength: number;
}

/**
 * One generation. It starts with its first viewer's subscription to {@link activity} and ends with
 * exactly one terminal entry in its log; when its last viewer leaves it is cancelled.
 */
export class Run {
  readonly id = `run_${randomBytes(16).toString('hex')}`;
  readonly createdAt = new Date();
  readonly log: RunLog;
  /** Emits when the log has grown and completes after the terminal entry. Never an error. */
  readonly activity: Observable<Draft>;

  /** A value and not an event, so that a stop before the first viewer counts. */
  private readonly stop = new ReplaySubject<Terminal>(1);
  private readonly transcriber: Transcriber;

  constructor({ source, target, choices, commitAfterMs, maxLength }: RunOptions) {
    const transcriber = new Transcriber(target, choices);
    this.transcriber = transcriber;
    this.log = new RunLog({
      type: 'start',
      data: { id: this.id, model: target, created: Math.floor(this.createdAt.getTime() / 1000) },
    });
    const generation = source.pipe(
      limitLength(maxLength),
      takeUntil(transcriber.finished.pipe(delay(USAGE_WAIT_MS))),
      mergeMap((frame) => transcriber.add(frame)),
      concatWith(defer(() => of(transcriber.end()))),
      catchError((error: unknown) => of(this.failed(toChatError(error)))),
    );
    const opening = timer(commitAfterMs).pipe(
      tap(() => this.log.open()),
      ignoreElements(),
    );
    this.activity = merge(this.stop, generation, opening).pipe(
      takeWhile((event) => !isTerminal(event), true),
      share({
        connector: () => this.log,
        resetOnComplete: false,
        resetOnError: false,
        // A reset would start, and bill, a second generation for the next viewer.
        resetOnRefCountZero: () => {
          this.cancel();
          return EMPTY;
        },
      }),
    );
  }

  /** Stops the generation and closes its upstream; nothing once the run is over. */
  cancel() {
    this.stop.next({ type: 'cancelled', data: { usage: this.transcriber.usage } });
  }

  private failed(error: ChatError): Terminal {
    const { code, message, retryable } = error;
    return {
      type: 'error',
      data: { code, message, retryable, usage: this.transcriber.usage },
      error,
    };
  }
}

function limitLength(maxLength: number) {
  let length = 0;
  return tap(({ json, chunk }: Frame) => {
    length += json?.length ?? JSON.stringify(chunk).length;
    if (length > maxLength) {
      const message = `The answer is longer than ${maxLength} characters.`;
      throw new ChatError('provider_error', message, { retryable: false });
    }
  });
}
