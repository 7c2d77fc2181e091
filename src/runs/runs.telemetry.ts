import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config.js';
import type { ChatRequest } from '../providers/chat-provider.js';
import type { UpstreamCall, UpstreamObserver } from '../providers/upstream-observer.js';
import { RouterService } from '../routing/router.service.js';
import { Metrics } from '../telemetry/metrics.js';
import type { TraceContext } from '../telemetry/trace-context.js';
import { Tracing } from '../telemetry/tracing.js';
import { whenQuiet } from '../telemetry/when-quiet.js';
import type { Entry } from './entry.js';
import { contentOfRun, type RunContent } from './run-content.js';
import type { RunRecord } from './run-record.js';
import { endOfSpan, startOfSpan } from './run-span.js';
import { UpstreamRequests } from './upstream-requests.js';

export interface RunStart {
  request: ChatRequest;
  /** The name of the target that is asked first. */
  target: string;
  /** Where the request that started it stands. */
  trace?: TraceContext;
}

/** Why a run failed, without the message, which can be the provider's and have content in it. */
interface FailureCause {
  /** The system's word for it, such as ENOTFOUND, or else the error's name. */
  error_cause?: string;
  /** HTTP status that the provider answered with. */
  upstream_status?: number;
}

/** Follows one run. */
export interface RunFollower {
  readonly upstream: UpstreamObserver;
  ended(record: RunRecord, entries: readonly Entry[]): void;
}

/** Follows every run to its end, and tells of it in a line and in spans. */
@Injectable()
export class RunsTelemetry {
  private readonly logger = new Logger('Run');
  /** The requests upstream that are not over, and whose they are. */
  private readonly open = new Map<UpstreamCall, UpstreamRequests>();

  constructor(
    private readonly router: RouterService,
    private readonly tracing: Tracing,
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    metrics.gauge('sluice_upstream_requests', 'Requests upstream that are not over.', () => {
      return this.open.size;
    });
    metrics.gauge(
      'sluice_upstream_requests_orphaned',
      'Requests upstream that are not over although their run is. The rest of an answer that ' +
        'ended well may take a second.',
      () => [...this.open.values()].filter(({ isOver }) => isOver).length,
    );
  }

  /** For a run that is about to start. */
  follow({ request, target, trace }: RunStart): RunFollower {
    const { router, tracing, metrics, open, config } = this;
    const span = tracing.start(() => startOfSpan(router.labelsOf(target), request, trace));
    const upstream = new UpstreamRequests({
      trace: span?.context ?? trace,
      tracing,
      metrics,
      open,
    });
    return {
      upstream,
      ended: (record, entries) => {
        upstream.end(record.status);
        const isWanted = config.LOG_CONTENT || tracing.wantsContent;
        const content = isWanted ? contentOfRun(request, entries) : undefined;
        const traced = tracing.wantsContent ? content : undefined;
        span?.end(endOfSpan(record, router.labelsOf(record.target), traced));
        const told = { ...causeOf(entries.at(-1)), ...(config.LOG_CONTENT && content) };
        whenQuiet(() => this.log(record, told));
      },
    };
  }

  private log(record: RunRecord, told: Partial<RunContent & FailureCause>) {
    if (!Logger.isLevelEnabled('log')) return;
    const { name: key, ttft_ms: ttft, duration_ms: duration, ...rest } = record;
    const times = { ttft_ms: ttft && rounded(ttft), duration_ms: rounded(duration) };
    this.logger.log({ ...rest, ...times, key, ...told });
  }
}

function causeOf(last: Entry | undefined): FailureCause {
  if (last?.type !== 'error') return {};
  const { cause, details } = last.error;
  const { code, name } = Object(cause) as { code?: unknown; name?: string };
  return {
    error_cause: typeof code === 'string' ? code : name,
    upstream_status: details.upstreamStatus,
  };
}

/** Milliseconds, to a tenth. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
