import { Injectable, Logger } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { knownCallerOf } from '../access/caller.js';
import { Metrics } from '../telemetry/metrics.js';
import { traceContextOf, traceIdOf, type TraceContext } from '../telemetry/trace-context.js';
import { Tracing } from '../telemetry/tracing.js';
import { whenQuiet } from '../telemetry/when-quiet.js';
import { whenOver } from './when-over.js';

const traces = new WeakMap<Request, TraceContext>();

/** Where a request stands in its trace; what it causes stands below. */
export function traceOf(request: Request): TraceContext | undefined {
  return traces.get(request);
}

/**
 * Tells of every request, when its response is over: a line, a metric and a span. By its route and
 * never by its URL, whose query can be a prompt or a ticket.
 */
@Injectable()
export class RequestTelemetry {
  private readonly logger = new Logger('Request');

  constructor(
    private readonly metrics: Metrics,
    private readonly tracing: Tracing,
  ) {}

  /** Middleware, behind the one that gives the request its id. */
  observe(request: Request, response: Response, next: NextFunction) {
    const { method, socket, ip: client } = request;
    const startedAt = performance.now();
    const sentBefore = socket.bytesWritten;
    const caused = traceContextOf(request.headers);
    const span = this.tracing.start(() => ({ name: method, kind: 'server', parent: caused }));
    const trace = span?.context ?? caused;
    if (trace) traces.set(request, trace);

    whenOver(request, response, () => {
      const ms = performance.now() - startedAt;
      const { statusCode: status } = response;
      const route = routeOf(request);
      const isAborted = isLeft(request, response);
      const bytes = socket.bytesWritten - sentBefore;
      span?.end({
        name: route === undefined ? method : `${method} ${route}`,
        attributes: {
          'http.request.method': method,
          'http.response.status_code': status,
          'http.route': route,
        },
        ...(status >= 500 && { error: String(status) }),
      });
      whenQuiet(() => {
        this.metrics.requestSeconds.observe(
          {
            http_request_method: method,
            http_response_status_code: status,
            ...(route !== undefined && { http_route: route }),
          },
          ms / 1000,
        );
        if (!Logger.isLevelEnabled('log')) return;
        this.logger.log({
          method,
          route,
          status,
          duration_ms: Math.round(ms * 10) / 10,
          bytes,
          request_id: response.getHeader('X-Request-Id'),
          trace_id: traceIdOf(trace),
          client,
          key: knownCallerOf(request)?.name,
          run_id: response.getHeader('Sluice-Run-Id'),
          ...(isAborted && { aborted: true }),
        });
      });
    });
    next();
  }
}

/** The route's pattern; nothing where there is no such route, or it was not reached. */
function routeOf({ route }: Request): string | undefined {
  const { path } = Object(route) as { path?: unknown };
  return typeof path === 'string' ? path : undefined;
}

/** Whether it was the client who ended the response before its end. */
function isLeft({ socket }: Request, { writableFinished }: Response): boolean {
  return !writableFinished && (socket.readableEnded || Boolean(socket.errored));
}
