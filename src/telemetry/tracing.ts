import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONFIG, type Config } from '../config/config.js';
import type { TraceContext } from './trace-context.js';

export type Attributes = Record<string, string | number | boolean | string[] | undefined>;

export interface SpanStart {
  name: string;
  kind: 'server' | 'client';
  /** What caused it; undefined starts a trace. */
  parent?: TraceContext;
  attributes?: Attributes;
}

export interface SpanEnd {
  /** A better name than it began with. */
  name?: string;
  attributes?: Attributes;
  /** A code, where it failed. */
  error?: string;
}

export interface Span {
  /** For what it causes. */
  readonly context: TraceContext;
  end(end: SpanEnd): void;
}

/** Where spans go. */
export interface Tracer {
  start(span: SpanStart): Span;
  /** Sends what is left, and ends. */
  close(): Promise<void>;
}

/** What says so in `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`, of old and of late. */
const CONTENT_IN_SPANS = /^(true|span_only|span_and_event)$/i;

/** How long what is left gets to be sent at shutdown, in milliseconds. */
const FLUSH_MS = 2_000;

/** Starts the spans of traces, where they are exported: else there is nothing to start, or to load. */
@Injectable()
export class Tracing implements OnModuleInit, OnApplicationShutdown {
  private tracer?: Tracer;

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  async onModuleInit() {
    const { config } = this;
    const endpoint =
      config.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? config.OTEL_EXPORTER_OTLP_ENDPOINT;
    const { OTEL_SDK_DISABLED = '', OTEL_TRACES_EXPORTER = '' } = config;
    const isOff = /^true$/i.test(OTEL_SDK_DISABLED) || /^none$/i.test(OTEL_TRACES_EXPORTER);
    if (endpoint === undefined || isOff) return;
    const { openTracer } = await import('./otlp.tracer.js');
    this.tracer = openTracer();
  }

  /** @returns nothing when there is nobody to tell */
  start(describe: () => SpanStart): Span | undefined {
    return this.tracer?.start(describe());
  }

  /** Whether prompts and completions are to be in spans; they have no events. */
  get wantsContent(): boolean {
    const where = this.config.OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT;
    return this.tracer !== undefined && CONTENT_IN_SPANS.test(where ?? '');
  }

  async onApplicationShutdown() {
    // A collector that does not answer keeps no process from ending.
    const late = new AbortController();
    const deadline = sleep(FLUSH_MS, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([this.tracer?.close(), deadline]);
    late.abort();
  }
}
