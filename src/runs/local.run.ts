import { Logger } from '@nestjs/common';
import { concat, lastValueFrom, Observable, Subject, Subscription, type Subscriber } from 'rxjs';
import type { Caller } from '../access/caller.js';
import { ChatError, toChatError, truncated, type ErrorCode } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import { contentOf, failed, type Draft, type Failure, type Terminal, type Usage } from './entry.js';
import { createRunId } from './run-id.js';
import { RunLog } from './run-log.js';
import { tokensOf, type RunRecord } from './run-record.js';
import type { Run, RunState, RunStatus } from './run.js';
import { Transcriber } from './transcriber.js';

/** After its last finish reason upstream gets this long for the usage and the end of its stream. */
const USAGE_WAIT_MS = 2_000;

const logger = new Logger('LocalRun');

/** Failures, also without any content, of requests that a provider may have read by then. */
const UNANSWERED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'timeout_first_token',
  'timeout_idle',
  'timeout_total',
  'provider_truncated',
  'shutting_down',
  'permission_denied',
]);

const STATUS = { done: 'completed', cancelled: 'cancelled', error: 'failed' } as const;

/** Where a run's output comes from. */
export interface GenerationSource {
  /** Cold: the run subscribes to it once, ever. */
  readonly frames: Observable<Frame>;
  /** The name of the target that answers: of the one that is asked, until one does. */
  readonly target: string;
  /** Whether any target was asked: a queue or a breaker can keep a request from all of them. */
  readonly hasAsked: boolean;
}

export interface LocalRunOptions {
  /** Who started it. */
  caller: Caller;
  /** Of the request that started it, to be found again in logs and traces. */
  requestId?: string;
  traceId?: string;
  /** The model that was asked for, if any. */
  model?: string;
  generation: GenerationSource;
  /** Holds the generation back until it completes; its error is the run's. */
  admitted?: Observable<never>;
  /** How many answers were asked for. */
  choices: number;
  /** How long the run goes on after its last viewer left, in milliseconds. */
  graceMs: number;
  /** A run without content is opened after this long all the same, in milliseconds. */
  commitAfterMs: number;
  /** Characters of output after which the run fails. */
  maxLength: number;
  /** Counts the tokens of a run whose provider did not; gets the text that was generated. */
  estimateUsage: (generated: string) => Promise<Usage>;
  /** Hears of the run's end, once. */
  onEnd?: (record: RunRecord) => void;
}

/**
 * A run that is generated here. It starts with the first subscription to {@link activity} and ends
 * with exactly one terminal entry in its log, whoever comes and goes.
 */
export class LocalRun implements Run {
  readonly id = createRunId();
  readonly log: RunLog;
  readonly activity: Observable<Draft>;
  /** Emits when nothing is generated any more, where the tokens are yet to be counted. */
  readonly stopped = new Subject<void>();
  readonly isKept = true;
  /** Characters of output so far. */
  size = 0;

  /** Open until it is known how the run ends: with it goes the request upstream. */
  private readonly generating = new Subscription();
  private readonly transcriber: Transcriber;
  /** How the run ends, from when that is known: its tokens may have yet to be counted. */
  private verdict?: Terminal;
  private leaving?: NodeJS.Timeout;
  private ending?: NodeJS.Timeout;
  private viewers = 0;
  private viewing = 0;
  /** What was generated, in bytes of UTF-8, and how much of it when the last viewer left. */
  private bytes = 0;
  private seenBytes = 0;
  private readonly createdAt = Date.now();
  private readonly clock = performance.now();
  private ttftMs?: number;
  private startedAt?: number;
  private firstTokenAt?: number;
  private endedAt?: number;

  constructor(private readonly options: LocalRunOptions) {
    const { generation, choices } = options;
    this.transcriber = new Transcriber(generation, choices);
    this.log = new RunLog(() => ({
      type: 'start',
      data: {
        id: this.id,
        model: generation.target,
        created: Math.floor(this.createdAt / 1000),
      },
    }));
    this.activity = new Observable((viewer) => this.view(viewer));
  }

  get caller(): Caller {
    return this.options.caller;
  }

  get owner(): string {
    return this.caller.owner;
  }

  get choices(): number {
    return this.options.choices;
  }

  get model(): string | null {
    return this.options.model ?? null;
  }

  locate(seq: number) {
    return this.log.locate(seq);
  }

  get state(): RunState {
    const { verdict } = this;
    return {
      id: this.id,
      object: 'run',
      status: this.status,
      model: this.model,
      target: this.options.generation.target,
      finish_reason: verdict?.type === 'done' ? verdict.data.finish_reason : null,
      usage: verdict?.data.usage ?? this.transcriber.usage,
      error: verdict?.type === 'error' ? errorOf(verdict.data) : null,
      created_at: new Date(this.createdAt).toISOString(),
      started_at: isoOf(this.startedAt),
      first_token_at: isoOf(this.firstTokenAt),
      ended_at: isoOf(this.endedAt),
    };
  }

  async cancel() {
    await this.end(cancelled());
  }

  /** Ends the run for a reason of the server's. Resolves when it has ended; nothing if it had. */
  async fail(error: ChatError) {
    await this.end(failed(error));
  }

  private async end(terminal: Terminal) {
    this.stop(terminal);
    await lastValueFrom(this.log, { defaultValue: undefined });
  }

  private view(viewer: Subscriber<Draft>) {
    this.viewers += 1;
    this.viewing += 1;
    clearTimeout(this.leaving);
    viewer.add(() => this.leave());
    this.log.subscribe(viewer);
    // Never a second time: it would generate, and bill, once more.
    if (!this.startedAt && !this.generating.closed) this.start();
  }

  private leave() {
    this.viewing -= 1;
    if (this.viewing > 0) return;
    this.seenBytes = this.bytes;
    const { graceMs } = this.options;
    if (graceMs === 0) this.stop(cancelled());
    else if (graceMs !== Infinity && !this.generating.closed) {
      this.leaving = setTimeout(() => this.stop(cancelled()), graceMs);
    }
  }

  /** Breaks the answer off, unless all of it is there and just its usage is waited for. */
  private stop(terminal: Terminal) {
    this.conclude(this.transcriber.hasFinished ? this.transcriber.end() : terminal);
  }

  private get status(): RunStatus {
    if (this.verdict) return STATUS[this.verdict.type];
    return this.startedAt ? 'running' : 'queued';
  }

  private start() {
    const { generation, admitted, commitAfterMs } = this.options;
    this.startedAt = Date.now();
    const opening = setTimeout(() => this.log.open(), commitAfterMs);
    this.generating.add(() => {
      clearTimeout(opening);
      clearTimeout(this.ending);
      clearTimeout(this.leaving);
    });
    const frames = admitted ? concat(admitted, generation.frames) : generation.frames;
    this.generating.add(
      frames.subscribe({
        next: (frame) => this.take(frame),
        error: (error: unknown) => this.conclude(this.endOf(toChatError(error))),
        complete: () => this.conclude(this.endOf()),
      }),
    );
  }

  private take(frame: Frame) {
    // What is emitted while it is being subscribed to can't be unsubscribed from yet.
    if (this.generating.closed) return;
    try {
      this.record(frame);
    } catch (error) {
      this.conclude(failed(toChatError(error)));
    }
  }

  /** @throws {ChatError} when the output is too long, or can't be an answer's */
  private record(frame: Frame) {
    const { maxLength } = this.options;
    this.size += (frame.json ?? JSON.stringify(frame.chunk)).length;
    if (this.size > maxLength) {
      const message = `The answer is longer than ${maxLength} characters.`;
      throw new ChatError('provider_error', message, { retryable: false });
    }
    for (const event of this.transcriber.add(frame)) {
      if (!this.firstTokenAt) {
        this.firstTokenAt = Date.now();
        this.ttftMs = performance.now() - this.clock;
      }
      this.bytes += Buffer.byteLength(contentOf(event));
      this.log.next(event);
    }
    if (this.transcriber.hasFinished) {
      this.ending ??= setTimeout(() => this.conclude(this.endOf()), USAGE_WAIT_MS);
    }
  }

  /**
   * How the run ends when upstream has ended, or failed. A deadline that passes between the last
   * finish reason and upstream's end breaks nothing off.
   */
  private endOf(error?: ChatError): Terminal {
    const isOver = !error || error.code === 'timeout_idle' || error.code === 'timeout_total';
    if (isOver && this.transcriber.hasFinished) return this.transcriber.end();
    return failed(error ?? truncated());
  }

  /** Ends the run, if nothing did before, with its tokens counted: by the provider, else here. */
  private conclude(terminal: Terminal) {
    if (this.verdict) return;
    this.verdict = terminal;
    this.generating.unsubscribe();
    // A request that was refused used nothing.
    const isRefused = this.firstTokenAt === undefined && isRefusal(terminal);
    if (terminal.data.usage || isRefused || !this.options.generation.hasAsked) {
      this.close(terminal);
      return;
    }
    this.stopped.next();
    void this.usage()
      .catch(() => null)
      .then((usage) => {
        terminal.data.usage = usage;
        this.close(terminal);
      });
  }

  private close(terminal: Terminal) {
    this.endedAt = Date.now();
    this.log.next(terminal);
    try {
      // Viewers have their end by now.
      this.options.onEnd?.(this.summary());
    } catch (error) {
      logger.error(error);
    } finally {
      this.log.complete();
    }
  }

  private summary(): RunRecord {
    const { caller, generation, requestId, traceId } = this.options;
    const { bytes } = this;
    const terminal = this.log.terminal!;
    const tokens = tokensOf(terminal.data.usage);
    const unseenBytes = this.viewing > 0 ? 0 : bytes - this.seenBytes;
    return {
      run_id: this.id,
      owner: caller.owner,
      name: caller.name,
      request_id: requestId ?? null,
      trace_id: traceId ?? null,
      model: this.model,
      target: generation.target,
      status: STATUS[terminal.type],
      finish_reason: terminal.type === 'done' ? terminal.data.finish_reason : null,
      error_code: terminal.type === 'error' ? terminal.data.code : null,
      ...tokens,
      // No provider tells when it generated a token, so the text's share stands for the tokens'.
      unseen_tokens: Math.round((tokens.completion_tokens * unseenBytes) / (bytes || 1)),
      bytes,
      // All entries but the start and the end.
      chunks: this.log.entries.length - 2,
      viewers: this.viewers,
      created_at: new Date(this.createdAt).toISOString(),
      ttft_ms: this.ttftMs ?? null,
      duration_ms: performance.now() - this.clock,
    };
  }

  private async usage(): Promise<Usage> {
    const generated = this.log.entries.map(contentOf).join('');
    return this.transcriber.usage ?? this.options.estimateUsage(generated);
  }
}

function cancelled(): Terminal {
  return { type: 'cancelled', data: { usage: null } };
}

/** Whether it says that a provider refused the request, or was not reached. */
function isRefusal(terminal: Terminal): boolean {
  if (terminal.type !== 'error') return false;
  const { code, details } = terminal.error;
  return !UNANSWERED.has(code) || details.upstreamStatus !== undefined;
}

function errorOf({ code, message, retryable }: Failure): RunState['error'] {
  return { code, message, retryable };
}

function isoOf(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}
