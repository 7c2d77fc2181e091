import type { IncomingHttpHeaders } from 'node:http';

/** A place in a trace, in the headers that say so: https://www.w3.org/TR/trace-context/ */
export interface TraceContext {
  traceparent: string;
  tracestate?: string;
}

/** Version, trace id, span id, flags. Later versions may have more behind them. */
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;

const MAX_TRACESTATE_LENGTH = 512;

/** Where a request stands, if it says so in the form that it should. */
export function traceContextOf(headers: IncomingHttpHeaders): TraceContext | undefined {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string') return undefined;
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent) ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  const isState = typeof tracestate === 'string' && tracestate.length <= MAX_TRACESTATE_LENGTH;
  return {
    traceparent: `00-${traceId}-${spanId}-${flags}`,
    ...(isState && tracestate !== '' && { tracestate }),
  };
}

export function traceIdOf(context: TraceContext | undefined): string | undefined {
  return context?.traceparent.split('-')[1];
}
