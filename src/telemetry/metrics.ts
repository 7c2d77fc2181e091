import { Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The buckets that OpenTelemetry's conventions give to durations of its `gen_ai` metrics, in seconds. */
const GEN_AI_SECONDS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/** And to tokens. */
const GEN_AI_TOKENS = Array.from({ length: 14 }, (_, power) => 4 ** power);

/** https://opentelemetry.io/docs/specs/semconv/http/http-metrics/, and on to what streams take. */
const HTTP_SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

const CLOSE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

const DELAY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

const GEN_AI = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model'] as const;

/**
 * Every metric that Sluice has of its own. Names and labels are those of OpenTelemetry's conventions
 * where they have any (https://github.com/open-telemetry/semantic-conventions-genai), as Prometheus
 * writes them; the rest is `sluice_*`. A label has only values that the configuration bounds.
 */
@Injectable()
export class Metrics {
  private readonly registry = new Registry();
  private readonly registers = [this.registry];
  private readonly ofProcess = processRegistry();

  readonly requestSeconds = new Histogram({
    name: 'http_server_request_duration_seconds',
    help: 'Duration of HTTP requests, to the end of their response.',
    labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
    buckets: HTTP_SECONDS,
    registers: this.registers,
  });

  readonly upstreamSeconds = new Histogram({
    name: 'http_client_request_duration_seconds',
    help: 'Duration of requests upstream, retries included, to the end of their response.',
    labelNames: [
      'http_request_method',
      'server_address',
      'http_response_status_code',
      'error_type',
    ],
    buckets: HTTP_SECONDS,
    registers: this.registers,
  });

  readonly runSeconds = new Histogram({
    name: 'gen_ai_client_operation_duration_seconds',
    help: 'Duration of runs, from their start to their end.',
    labelNames: [...GEN_AI, 'error_type'],
    buckets: GEN_AI_SECONDS,
    registers: this.registers,
  });
  readonly firstChunkSeconds = new Histogram({
    name: 'gen_ai_client_operation_time_to_first_chunk_seconds',
    help: 'Time from the start of a run to its first content.',
    labelNames: GEN_AI,
    buckets: GEN_AI_SECONDS,
    registers: this.registers,
  });
  readonly outputChunkSeconds = new Histogram({
    name: 'gen_ai_client_operation_time_per_output_chunk_seconds',
    help: 'Mean time between the chunks of a run, once a run, at its end.',
    labelNames: GEN_AI,
    buckets: GEN_AI_SECONDS,
    registers: this.registers,
  });
  readonly tokens = new Histogram({
    name: 'gen_ai_client_token_usage',
    help: 'Tokens of runs.',
    labelNames: [...GEN_AI, 'gen_ai_token_type'],
    buckets: GEN_AI_TOKENS,
    registers: this.registers,
  });

  readonly runs = new Counter({
    name: 'sluice_runs_total',
    help: 'Runs that ended: how, with which error code, on which target.',
    labelNames: ['status', 'code', 'target'],
    registers: this.registers,
  });
  readonly keyTokens = new Counter({
    name: 'sluice_key_tokens_total',
    help: 'Tokens of runs by the name of the key that started them.',
    labelNames: ['key', 'type'],
    registers: this.registers,
  });
  readonly unseenTokens = new Counter({
    name: 'sluice_unseen_tokens_total',
    help: 'Tokens generated after the last viewer had left.',
    labelNames: ['target'],
    registers: this.registers,
  });
  readonly savedTokens = new Counter({
    name: 'sluice_saved_tokens_estimate_total',
    help:
      'Estimate of the tokens that cancelling saved: how many the completed runs of the target ' +
      'had on average, minus what the cancelled run had. Nothing before a run of it completed.',
    labelNames: ['target'],
    registers: this.registers,
  });
  readonly cancelSeconds = new Histogram({
    name: 'sluice_cancel_to_upstream_close_seconds',
    help: "Time from a run's cancelling to the end of its connection upstream.",
    buckets: CLOSE_SECONDS,
    registers: this.registers,
  });

  readonly viewers = new Gauge({
    name: 'sluice_viewers',
    help: 'Responses that show a run now.',
    registers: this.registers,
  });

  readonly eventLoopDelaySeconds = new Histogram({
    name: 'sluice_event_loop_delay_seconds',
    help: 'How late the event loop was for a timer, ten times a second.',
    buckets: DELAY_SECONDS,
    registers: this.registers,
  });

  /** A metric whose value is looked up when it is asked for. */
  gauge(name: string, help: string, value: () => number): void {
    const collect = function (this: Gauge) {
      this.set(value());
    };
    new Gauge({ name, help, collect, registers: this.registers });
  }

  /** The same for several things of a kind. */
  gauges<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    values: () => (Record<L, string> & { value: number })[],
  ): void {
    const collect = function (this: Gauge<L>) {
      this.reset();
      for (const { value, ...labels } of values()) this.set(labels as never, value);
    };
    new Gauge({ name, help, labelNames, collect, registers: this.registers });
  }

  /** All of it in Prometheus' text format, with what is known of the process. */
  async text(): Promise<string> {
    return Registry.merge([this.registry, this.ofProcess]).metrics();
  }

  get contentType(): string {
    return this.registry.contentType;
  }
}

/** As long as a timer can be. */
const NEVER_MS = 2 ** 31 - 1;

let ofProcess: Registry | undefined;

/** There is one process, however many applications are in it. */
function processRegistry(): Registry {
  if (ofProcess) return ofProcess;
  const register = (ofProcess = new Registry());
  // Its figures of the event loop have the time between two looks in them, of which there are a hundred
  // a second: an idle process would spend a percent of a core on them.
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: NEVER_MS });
  for (const { name } of register.getMetricsAsArray()) {
    if (name.startsWith('nodejs_eventloop_lag')) register.removeSingleMetric(name);
  }
  return register;
}
