import type { UpstreamCall, UpstreamObserver } from '../providers/upstream-observer.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { TraceContext } from '../telemetry/trace-context.js';
import type { SpanStart, Tracing } from '../telemetry/tracing.js';
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
  private status?: RunRecord['status'];
  /** How long the last connection took to close that was told to, in milliseconds. */
  private closeMs?: number;

  constructor(private readonly options: UpstreamRequestsOptions) {}

  /** Whether the run is over. */
  get isOver(): boolean {
    return this.status !== undefined;
  }

  sending(method: string, url: URL): UpstreamCall {
    const { trace, tracing, metrics, open } = this.options;
    const resends = this.sent;
    const span = tracing.start(() => startOfSpan(method, url, resends, trace));
    this.sent += 1;
    const sentAt = performance.now();
    let status: number | undefined;
    let droppedAt: number | undefined;

    const call: UpstreamCall = {
      headers: { ...(span?.context ?? trace) },
      answered: (code) => (status = code),
      dropped: () => (droppedAt ??= performance.now()),
      closed: (failure) => {
        open.delete(call);
        const now = performance.now();
        if (droppedAt !== undefined) this.closed(now - droppedAt);
        const isDropped = droppedAt !== undefined;
        const error = isRefusal(status) ? String(status) : isDropped ? undefined : failure;
        const labels = {
          http_request_method: method,
          server_address: url.hostname,
          ...(status !== undefined && { http_response_status_code: status }),
          ...(error !== undefined && { error_type: error }),
        };
        metrics.upstreamSeconds.observe(labels, (now - sentAt) / 1000);
        const dropped = isDropped && { 'sluice.dropped': true };
        span?.end({ attributes: { 'http.response.status_code': status, ...dropped }, error });
      },
    };
    open.set(call, this);
    return call;
  }

  /** The run is over. */
  end(status: RunRecord['status']) {
    this.status = status;
    if (this.closeMs !== undefined) this.closed(this.closeMs);
  }

  private closed(ms: number) {
    this.closeMs = ms;
    if (this.status === 'cancelled') this.options.metrics.cancelSeconds.observe(ms / 1000);
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
