import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config.js';
import { RouterService } from '../routing/router.service.js';
import { Metrics } from '../telemetry/metrics.js';
import { whenQuiet } from '../telemetry/when-quiet.js';
import { RunRecords, type RunRecord } from './run-record.js';
import { RUN_STORE, type RunStore } from './run-store.js';
import { SavedTokens } from './saved-tokens.js';

/** Counts runs as they go on and as they ended. */
@Injectable()
export class RunMetrics {
  private readonly saved = new SavedTokens();

  constructor(
    records: RunRecords,
    private readonly router: RouterService,
    private readonly metrics: Metrics,
    @Inject(RUN_STORE) store: RunStore,
    @Inject(CONFIG) config: Config,
  ) {
    metrics.gauge('sluice_runs_live', 'Runs that this process generates now.', () => {
      return store.live().length;
    });
    if (config.REDIS_URL !== undefined) {
      metrics.gauge('sluice_redis_up', 'Whether Redis answers: 1 or 0.', () => {
        return store.isDegraded ? 0 : 1;
      });
    }
    records.subscribe((record) => whenQuiet(() => this.count(record)));
  }

  private count(record: RunRecord) {
    const { metrics } = this;
    const { status, error_code: code, ttft_ms: ttft, duration_ms: duration, chunks } = record;
    const { target, provider, model } = this.router.labelsOf(record.target);
    const labels = {
      gen_ai_operation_name: 'chat',
      gen_ai_provider_name: provider,
      gen_ai_request_model: model,
    };
    metrics.runs.inc({ status, code: code ?? '', target });
    metrics.runSeconds.observe({ ...labels, ...(code && { error_type: code }) }, duration / 1000);
    if (ttft !== null) {
      metrics.firstChunkSeconds.observe(labels, ttft / 1000);
      if (status === 'completed' && chunks > 1) {
        metrics.outputChunkSeconds.observe(labels, (duration - ttft) / (chunks - 1) / 1000);
      }
    }
    if (record.token_source !== null) this.countTokens(record, labels, target);
  }

  private countTokens(record: RunRecord, labels: object, target: string) {
    const { metrics } = this;
    const key = keyOf(record);
    const { prompt_tokens: input, completion_tokens: output } = record;
    metrics.tokens.observe({ ...labels, gen_ai_token_type: 'input' }, input);
    metrics.tokens.observe({ ...labels, gen_ai_token_type: 'output' }, output);
    metrics.keyTokens.inc({ key, type: 'input' }, input);
    metrics.keyTokens.inc({ key, type: 'output' }, output);
    metrics.unseenTokens.inc({ target }, record.unseen_tokens);
    metrics.savedTokens.inc({ target }, this.saved.of(record.status, target, output));
  }
}

/** The configuration has so many keys, but tokens are of as many subjects as there are people. */
function keyOf({ owner, name }: RunRecord): string {
  return owner === `key:${name}` || owner === name ? name : 'other';
}
