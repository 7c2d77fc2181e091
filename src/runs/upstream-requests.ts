import type { UpstreamCall, UpstreamObserver } from '../providers/upstream-observer.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { TraceContext } from '../telemetry/trace-context.js';
import type { Span, SpanStart, Tracing } from '../telemetry/tracing.js';
import type { RunRecord } from './run-record.js';

export interface UpstreamRequestsOptions {
  /** Where the run stands. */
  trace?: TraceContext;
  tracing: Pick<Tracing, 'start'>;
  metrics: Metrics;
  /** The requests upstream that are not over, of all runs. */
  open: Map<UpstreamCall, UpstreamRequests>;
}

/** One run's requests upstream, with a metric and a span each. */
export class UpstreamRequests implements UpstreamObserver {
  private sent = 0;
  /** No cancel closes one before it: that was given up, or has failed. */
  private last?: UpstreamCall;
  private status?: RunRecord['status'];
  /** How long the last one's connection took to close, if it was told to, in milliseconds. */
  private closeMs?: number;

  constructor(readonly options: UpstreamRequestsOptions) {}

  /** Whether the run is over. */
  get isOver(): boolean {
    return this.status !== undefined;
  }

  sending(method: string, url: URL): UpstreamCall {
    const { trace, tracing, open } = this.options;
    const resends = this.sent;
    const span = tracing.start(() => startOfSpan(method, url, resends, trace));
    this.sent += 1;
    const call = new Call(this, method, url.hostname, span);
    this.last = call;
    this.closeMs = undefined;
    open.set(call, this);
    return call;
  }

  /** The run is over. */
  end(status: RunRecord['status']) {
    this.status = status;
    this.observe();
  }

  /** A connection that was told to close has done so. */
  closed(call: UpstreamCall, ms: number) {
    if (call !== this.last) return;
    this.closeMs = ms;
    this.observe();
  }

  private observe() {
    const { closeMs, status, options } = this;
    if (closeMs === undefined || status !== 'cancelled') return;
    options.metrics.cancelSeconds.observe(closeMs / 1000);
  }
}

class Call implements UpstreamCall {
  readonly headers: UpstreamCall['headers'];
  private readonly sentAt = performance.now();
  private status?: number;
  private droppedAt?: number;

  constructor(
    private readonly requests: UpstreamRequests,
    private readonly method: string,
    private readonly host: string,
    private readonly span?: Span,
  ) {
    this.headers = { ...(span?.context ?? requests.options.trace) };
  }

  answered(status: number) {
    this.status = status;
  }

  dropped() {
    this.droppedAt ??= performance.now();
  }

  closed(failure?: string) {
    const { requests, status, droppedAt } = this;
    const { open, metrics } = requests.options;
    open.delete(this);
    const now = performance.now();
    const isDropped = droppedAt !== undefined;
    if (isDropped) requests.closed(this, now - droppedAt);
    const error = isRefusal(status) ? String(status) : isDropped ? undefined : failure;
    const labels = {
      http_request_method: this.method,
      server_address: this.host,
      ...(status !== undefined && { http_response_status_code: status }),
      ...(error !== undefined && { error_type: error }),
    };
    metrics.upstreamSeconds.observe(labels, (now - this.sentAt) / 1000);
    const dropped = isDropped && { 'sluice.dropped': true };
    this.span?.end({ attributes: { 'http.response.status_code': status, ...dropped }, error });
  }
}

function isRefusal(status: number | undefined): boolean {
  return status !== undefined && status >= 400;
}

/** https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client */
function startOfSpan(
  method: string,
  url: URL,
  resends: number,
  parent: TraceContext | undefined,
): SpanStart {
  return {
    name: method,
    kind: 'client',
    parent,
    attributes: {
      'http.request.method': method,
      'server.address': url.hostname,
      'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
      // Without its query and credentials.
      'url.full': url.origin + url.pathname,
      ...(resends > 0 && { 'http.request.resend_count': resends }),
    },
  };
}
