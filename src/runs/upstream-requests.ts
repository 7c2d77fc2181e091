import type { UpstreamCall, UpstreamObserver } from '../providers/upstream-observer.js';
import type { TraceContext } from '../telemetry/trace-context.js';
import type { Span, SpanStart } from '../telemetry/tracing.js';
import type { RunRecord } from './run-record.js';

export interface UpstreamRequestsOptions {
  /** Where the run stands. */
  trace?: TraceContext;
  startSpan: (describe: () => SpanStart) => Span | undefined;
  /** The requests upstream that are not over, of all runs. */
  open: Map<UpstreamCall, UpstreamRequests>;
  /** Hears how long the connection of a run that was cancelled took to close, in milliseconds. */
  onCancelled: (ms: number) => void;
}

/** One run's requests upstream, with a span each. */
export class UpstreamRequests implements UpstreamObserver {
  private sent = 0;
  private status?: RunRecord['status'];
  /** How long the last connection took to close that was told to. */
  private closeMs?: number;

  constructor(private readonly options: UpstreamRequestsOptions) {}

  /** Whether the run is over. */
  get isOver(): boolean {
    return this.status !== undefined;
  }

  sending(method: string, url: URL): UpstreamCall {
    const { trace, startSpan, open } = this.options;
    const resends = this.sent;
    const span = startSpan(() => ({
      name: method,
      kind: 'client',
      parent: trace,
      attributes: {
        'http.request.method': method,
        'server.address': url.hostname,
        'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
        // Without its query and credentials.
        'url.full': url.origin + url.pathname,
        ...(resends > 0 && { 'http.request.resend_count': resends }),
      },
    }));
    this.sent += 1;
    let status: number | undefined;
    let droppedAt: number | undefined;
    const call: UpstreamCall = {
      headers: { ...(span?.context ?? trace) },
      answered: (code) => (status = code),
      dropped: () => (droppedAt ??= performance.now()),
      closed: (failure) => {
        open.delete(call);
        const attributes = { 'http.response.status_code': status };
        if (droppedAt === undefined) {
          const isRefusal = status !== undefined && status >= 400;
          span?.end({ attributes, error: isRefusal ? String(status) : failure });
        } else {
          this.closed(performance.now() - droppedAt);
          span?.end({ attributes: { ...attributes, 'sluice.dropped': true } });
        }
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
    if (this.status === 'cancelled') this.options.onCancelled(ms);
  }
}
