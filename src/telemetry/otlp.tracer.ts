import { Logger } from '@nestjs/common';
import {
  createTraceState,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { TraceContext } from './trace-context.js';
import type { Tracer } from './tracing.js';

/** How often it is said that spans are lost, in milliseconds. */
const COMPLAIN_MS = 60_000;

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT };

/**
 * Exports spans as OTLP over HTTP. Where to, what is sampled and how much at once is for the standard
 * `OTEL_*` variables to say, which the SDK reads itself.
 */
export function openTracer(): Tracer {
  const named = resourceFromAttributes({ 'service.name': 'sluice' });
  const provider = new BasicTracerProvider({
    resource: named.merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(new ComplainingExporter())],
  });
  const tracer = provider.getTracer('sluice');
  return {
    start({ name, kind, parent, attributes }) {
      const span = tracer.startSpan(name, { kind: KINDS[kind], attributes }, contextOf(parent));
      const { traceId, spanId, traceFlags, traceState } = span.spanContext();
      const flags = traceFlags.toString(16).padStart(2, '0');
      const tracestate = traceState?.serialize();
      return {
        context: {
          traceparent: `00-${traceId}-${spanId}-${flags}`,
          ...(tracestate && { tracestate }),
        },
        end({ name: better, attributes: more, error }) {
          if (better !== undefined) span.updateName(better);
          if (more) span.setAttributes(more);
          if (error !== undefined) {
            span.setAttribute('error.type', error);
            span.setStatus({ code: SpanStatusCode.ERROR });
          }
          span.end();
        },
      };
    },
    close: () => provider.shutdown(),
  };
}

/**
 * Says that spans are lost, which else nobody hears of. OpenTelemetry's own logger would tell it with all that
 * the collector answered, and elsewhere the values of headers.
 */
class ComplainingExporter extends OTLPTraceExporter {
  private readonly logger = new Logger('Traces');
  private complainedAt = -Infinity;

  override export(...[spans, done]: Parameters<OTLPTraceExporter['export']>) {
    super.export(spans, (result) => {
      if (result.error) this.complain(result.error);
      done(result);
    });
  }

  private complain(error: Error) {
    const now = performance.now();
    if (now - this.complainedAt < COMPLAIN_MS) return;
    this.complainedAt = now;
    const { code } = error as { code?: string | number };
    this.logger.warn(`Spans are lost: the collector did not take them (${code ?? error.message})`);
  }
}

function contextOf(parent: TraceContext | undefined): Context {
  if (!parent) return ROOT_CONTEXT;
  const [, traceId = '', spanId = '', flags = '0'] = parent.traceparent.split('-');
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(parent.tracestate && { traceState: createTraceState(parent.tracestate) }),
  });
}
