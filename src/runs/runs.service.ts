import { Inject, Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import { AsyncSubject, type Observable } from 'rxjs';
import type { Caller } from '../access/caller.js';
import { CONFIG, type Config } from '../config/config.js';
import { ChatError } from '../errors/chat-error.js';
import type { Admission } from '../limits/admission.js';
import { LimitsService } from '../limits/limits.service.js';
import type { RateLimits } from '../limits/rate-limits.js';
import { EXTENSIONS, type ChatRequest } from '../providers/chat-provider.js';
import { prepareRequest } from '../routing/prepare-request.js';
import type { Route } from '../routing/route.js';
import { RouterService } from '../routing/router.service.js';
import { traceIdOf, type TraceContext } from '../telemetry/trace-context.js';
import { DrainService } from './drain.service.js';
import { LocalRun } from './local.run.js';
import { RUN_STORE, type ListOptions, type RunStore } from './run-store.js';
import { RunRecords } from './run-record.js';
import type { Run, RunState } from './run.js';
import { RunsTelemetry } from './runs.telemetry.js';
import { UsageEstimator } from './usage-estimator.js';

export interface RunRequest {
  caller: Caller;
  /** Of the request, to be found again in logs and traces. */
  requestId?: string;
  trace?: TraceContext;
  /** Undefined for the default model. */
  model?: string;
  request: ChatRequest;
  /** How long the run goes on after its last viewer left, in milliseconds. */
  graceMs: number;
  /** Requests with the same key and body are one run. */
  idempotencyKey?: string;
  /** Whether they are that run also when it failed or was cancelled. */
  isOnce?: boolean;
  /** Hears how the caller's limits stand, if it has any and this is a run of its own. */
  onLimits?: (limits: RateLimits) => void;
}

export interface Started {
  run: Run;
  /** Whether it was started now, and not before with the same key. */
  isNew: boolean;
}

/** Starts runs and finds them again, for their owners alone. */
@Injectable()
export class RunsService {
  constructor(
    private readonly router: RouterService,
    private readonly limits: LimitsService,
    private readonly usage: UsageEstimator,
    private readonly drain: DrainService,
    private readonly records: RunRecords,
    private readonly telemetry: RunsTelemetry,
    @Inject(RUN_STORE) private readonly store: RunStore,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * A run that generates once it is viewed, or the one that the same request started before. Only a
   * run of its own has to be let in.
   * @throws {ChatError} `shutting_down`, `rate_limit_exceeded`, `insufficient_quota`,
   *   `idempotency_mismatch`, or `store_unavailable` with a key or with limits
   */
  async start(asked: RunRequest): Promise<Started> {
    const { caller, model, idempotencyKey, isOnce, onLimits } = asked;
    const route = this.router.resolve(model);
    const request = prepareRequest(asked.request, route);
    const [target] = route.targets;
    const models = [model ?? route.name, route.name, target.name, target.model];
    const admission = this.limits.admissionOf({ caller, models, request, onLimits });
    const isKeyed = idempotencyKey !== undefined;
    if (!isKeyed) await this.enter(admission);
    // Whoever finds a run by its key can view it before it is let in.
    const entered = isKeyed ? new AsyncSubject<never>() : undefined;
    const run = this.create({ ...asked, request }, route, admission, entered);
    this.store.add(run);
    if (!entered) return { run, isNew: true };
    try {
      const chosen = await this.claim(
        run,
        digest([caller.owner, idempotencyKey]),
        digest([model, asked.request, asked.request[EXTENSIONS]]),
        isOnce,
      );
      // An earlier run costs nothing. It is to be viewed at once, before its last viewer leaves.
      const isNew = chosen === run;
      if (isNew) await this.enter(admission);
      else void this.store.remove(run).catch(() => undefined);
      entered.complete();
      return { run: chosen, isNew };
    } catch (error) {
      entered.error(error);
      void this.store.remove(run).catch(() => undefined);
      throw error;
    }
  }

  /** @throws {ChatError} `run_not_found`, for a run of somebody else's too */
  async get(id: string, owner: string): Promise<Run> {
    const run = await this.store.find(id);
    if (run?.owner === owner) return run;
    throw new ChatError('run_not_found', 'There is no such run, or it is no longer kept.');
  }

  list(owner: string, options: ListOptions): Promise<RunState[]> {
    return this.store.list(owner, options);
  }

  /** Stops a run, if it has not ended, and forgets it. */
  async remove(run: Run): Promise<void> {
    await run.cancel();
    await this.store.remove(run);
  }

  private async enter(admission?: Admission): Promise<void> {
    this.drain.expectOpen();
    await admission?.enter();
  }

  private create(
    { caller, requestId, trace, model, request, graceMs }: RunRequest,
    route: Route,
    admission?: Admission,
    admitted?: Observable<never>,
  ): LocalRun {
    const target = route.targets[0].name;
    const follower = this.telemetry.follow({ request, target, trace });
    const run = new LocalRun({
      caller,
      requestId,
      traceId: traceIdOf(trace),
      model,
      generation: this.router.generate(route, request, follower.upstream),
      admitted,
      choices: request.n ?? 1,
      graceMs,
      commitAfterMs: this.config.COMMIT_AFTER_MS,
      maxLength: this.config.MAX_RUN_BYTES,
      estimateUsage: (generated) => this.usage.estimate(request, generated),
      onEnd: (record) => {
        admission?.leave(record.total_tokens);
        follower.ended(record, run.log.entries);
        this.records.next(record);
      },
    });
    run.stopped.subscribe(() => admission?.stop());
    return run;
  }

  /** Gives the key to the run, unless an earlier run has it that goes on or came to its end. */
  private async claim(run: LocalRun, key: string, body: string, isOnce = false): Promise<Run> {
    for (;;) {
      const holder = await this.store.claim(key, { runId: run.id, digest: body });
      if (holder.runId === run.id) return run;
      const earlier = await this.store.find(holder.runId);
      const status = earlier?.state.status;
      const holds = earlier && (isOnce || (status !== 'failed' && status !== 'cancelled'));
      if (!holds) {
        await this.store.release(key, holder.runId);
      } else if (holder.digest === body) {
        return earlier;
      } else {
        const message = 'This idempotency key came with another request before.';
        throw new ChatError('idempotency_mismatch', message);
      }
    }
  }
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url');
}
