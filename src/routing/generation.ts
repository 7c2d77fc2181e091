import { defer, finalize, Observable, of, retry, throwError, timer, type Subscriber } from 'rxjs';
import type { BulkheadSettings } from '../config/file/providers.schema.js';
import { ChatError, toChatError } from '../errors/chat-error.js';
import type { ChatRequest, Frame } from '../providers/chat-provider.js';
import type { UpstreamObserver } from '../providers/upstream-observer.js';
import { backoffMs } from './backoff.js';
import { begunAnswer } from './begun-answer.js';
import type { Outcome } from './breaker.js';
import { remedyOf } from './remedy.js';
import type { Route, Target } from './route.js';
import type { TargetHealth, TargetState } from './target-health.js';
import { TargetUnavailable } from './target-unavailable.js';

/** Nobody is made to wait longer than this because a target asks for it, in milliseconds. */
const MAX_RETRY_AFTER_MS = 5_000;

/** What is left of the time when nobody is asked any more: a part of it, in milliseconds at the most. */
const OVER_SHARE = 0.1;
const MAX_OVER_MS = 50;

/** How much of its part of the time a target must have had for its silence to speak against it. */
const FAIR_SHARE = 0.5;

const NO_LIMITS: BulkheadSettings = { maxConcurrent: Infinity, queueSize: 0, queueTimeoutMs: 0 };

/** When to come back to a target that is asked one request at a time, in milliseconds. */
const PROBED_RETRY_AFTER_MS = 1_000;

/**
 * A request on its way through a route's targets until one of them answers. Until an answer has begun
 * an attempt that fails is made again, at the same target and then at the next; from then on a
 * failure is the caller's to know.
 *
 * All of it has the route's time to the first token. Every target has an equal part of what is left
 * when its turn comes, so that one that is silent leaves time for the others.
 */
export class Generation {
  /**
   * The answer, cold and to be subscribed to once. Unsubscribing ends whatever is under way: the
   * wait in a queue or between two attempts, the request upstream.
   */
  readonly frames: Observable<Frame>;

  /** Whether any target was asked. */
  hasAsked = false;

  private readonly overMs: number;
  private index = 0;
  private state!: TargetState;
  /** By `performance.now()`: when an answer must have begun, and when the target's turn is over. */
  private beginBy = 0;
  private turnUntil = 0;
  private hasBegun = false;
  /** Tells the breaker about the attempt that is under way. */
  private report: (outcome: Outcome) => void = ignore;
  /** Whether a queue, other attempts or the alias left it little of the target's own time. */
  private isCut = false;
  /** Attempts that failed: all of them, and those at the target whose turn it is. */
  private failures = 0;
  private failuresHere = 0;
  private lastFailure?: ChatError;
  /** Of the targets that could not be asked the one that is back the soonest. */
  private unavailable?: TargetUnavailable;

  constructor(
    private readonly route: Route,
    private readonly request: ChatRequest,
    private readonly health: TargetHealth,
    private readonly bulkheadOf: (target: Target) => BulkheadSettings | undefined,
    private readonly observer?: UpstreamObserver,
  ) {
    this.overMs = Math.min(MAX_OVER_MS, route.timeouts.firstToken * OVER_SHARE);
    this.frames = new Observable((answer) => this.begin(answer));
  }

  /** The name of the target that is asked or, in the end, answered. */
  get target(): string {
    return this.asked.name;
  }

  private get asked(): Target {
    return this.route.targets[this.index]!;
  }

  private get isOver(): boolean {
    return performance.now() > this.beginBy - this.overMs;
  }

  private begin(answer: Subscriber<Frame>) {
    const { total, firstToken } = this.route.timeouts;
    const timer = setTimeout(() => {
      answer.error(new ChatError('timeout_total', `The answer took over ${total} ms.`));
    }, total);
    answer.add(() => clearTimeout(timer));
    this.beginBy = performance.now() + firstToken;
    this.turnTo(0);
    // Frames go straight to the answer: what is to be done again is only what ends.
    defer(() => this.attempt(answer))
      .pipe(retry({ delay: (error) => this.recover(toChatError(error)) }))
      .subscribe(answer);
  }

  private turnTo(index: number) {
    const now = performance.now();
    this.index = index;
    this.state = this.health.of(this.asked.name);
    this.failuresHere = 0;
    this.turnUntil = now + (this.beginBy - now) / (this.route.targets.length - index);
  }

  private attempt(answer: Subscriber<Frame>): Observable<never> {
    // Nobody stands in line before a door that is closed.
    if (this.isOpen) return throwError(() => this.tooManyFailures());
    const turnLeft = this.turnUntil - performance.now();
    return this.state.bulkhead.admit(
      defer(() => this.ask(answer)),
      this.bulkheadOf(this.asked) ?? NO_LIMITS,
      turnLeft - this.overMs,
    );
  }

  private ask(answer: Subscriber<Frame>): Observable<never> {
    const { provider, model, timeouts } = this.asked;
    const report = (this.report = this.enter());
    this.hasAsked = true;
    const firstTokenMs = Math.min(timeouts.firstToken, this.turnUntil - performance.now());
    this.isCut = firstTokenMs < (timeouts.firstToken / this.route.targets.length) * FAIR_SHARE;
    const { observer } = this;
    const frames = provider.stream(model, this.request, { connectMs: timeouts.connect, observer });
    return begunAnswer(frames, answer, {
      firstTokenMs,
      idleMs: timeouts.idle,
      onBegin: () => {
        this.hasBegun = true;
        report('success');
      },
    }).pipe(
      // Who leaves says nothing of the target, and lets the next probe pass.
      finalize(() => report('nothing')),
    );
  }

  /** When to subscribe to the next attempt; an error when there is none. */
  private recover(error: ChatError): Observable<unknown> {
    if (this.hasBegun) return throwError(() => error);
    const { targets, attempts } = this.route;
    const { action, isOutage } = remedyOf(error);
    this.note(error, isOutage);

    const retryAfterMs = error.retryAfterMs ?? 0;
    if (action === 'retry' && this.failuresHere < attempts && !this.isOpen) {
      const waitMs = backoffMs(this.failuresHere, retryAfterMs);
      const isInTime = performance.now() + waitMs < this.turnUntil - this.overMs;
      if (isInTime && retryAfterMs <= MAX_RETRY_AFTER_MS) return timer(waitMs);
    }
    const isLast = this.index === targets.length - 1;
    if (action === 'give up' || isLast || this.isOver) return throwError(() => this.outcome());
    this.turnTo(this.index + 1);
    return of('now');
  }

  private note(error: ChatError, isOutage: boolean) {
    if (error instanceof TargetUnavailable) {
      const soonest = this.unavailable?.retryAfterMs ?? Infinity;
      if (error.retryAfterMs < soonest) this.unavailable = error;
      return;
    }
    // A 408 has the same code.
    const isSilence = error.code === 'timeout_first_token' && !error.details.upstreamStatus;
    this.report(isOutage && !(isSilence && this.isCut) ? 'failure' : 'nothing');
    this.failures += 1;
    this.failuresHere += 1;
    // That the time is over says less than what it was spent on.
    if (!(isSilence && this.isOver) || !this.lastFailure) this.lastFailure = error;
  }

  /** What the caller is told: the last that a target said, if one was asked at all. */
  private outcome(): ChatError {
    const { lastFailure } = this;
    if (!lastFailure) return this.unavailable!;
    return this.failures > 1 ? lastFailure.spent() : lastFailure;
  }

  /** @throws {TargetUnavailable} */
  private enter(): (outcome: Outcome) => void {
    const { breaker } = this.asked;
    if (breaker === 'off') return ignore;
    const report = this.state.breaker.enter(breaker);
    if (!report) throw this.tooManyFailures();
    return report;
  }

  private get isOpen(): boolean {
    return this.asked.breaker !== 'off' && this.state.breaker.state === 'open';
  }

  private tooManyFailures(): TargetUnavailable {
    const message = 'The provider failed too often of late and is not asked for the moment.';
    const { waitMs } = this.state.breaker;
    return new TargetUnavailable(message, Math.max(PROBED_RETRY_AFTER_MS, waitMs));
  }
}

function ignore() {
  // A target without a breaker.
}
