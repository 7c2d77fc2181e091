import type { ChatRequest } from '../providers/chat-provider.js';
import type { TargetLabels } from '../routing/routes.js';
import type { TraceContext } from '../telemetry/trace-context.js';
import type { Attributes, SpanEnd, SpanStart } from '../telemetry/tracing.js';
import type { RunContent } from './run-content.js';
import type { RunRecord } from './run-record.js';

/** Parameters of a request that are numbers, and what OpenTelemetry calls them. */
const PARAMETERS = {
  temperature: 'gen_ai.request.temperature',
  top_p: 'gen_ai.request.top_p',
  max_tokens: 'gen_ai.request.max_tokens',
  max_completion_tokens: 'gen_ai.request.max_tokens',
  frequency_penalty: 'gen_ai.request.frequency_penalty',
  presence_penalty: 'gen_ai.request.presence_penalty',
  seed: 'gen_ai.request.seed',
};

/**
 * A run's span, by OpenTelemetry's conventions for inference:
 * https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md
 */
export function startOfSpan(
  labels: TargetLabels,
  request: ChatRequest,
  parent: TraceContext | undefined,
): SpanStart {
  const parameters = Object.entries(PARAMETERS).flatMap(([name, attribute]) =>
    typeof request[name] === 'number' ? [[attribute, request[name]]] : [],
  );
  return {
    name: `chat ${labels.model}`,
    kind: 'client',
    parent,
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': labels.provider,
      'gen_ai.request.stream': true,
      ...(Object.fromEntries(parameters) as Attributes),
      ...(request.n && request.n > 1 && { 'gen_ai.request.choice.count': request.n }),
    },
  };
}

export function endOfSpan(
  record: RunRecord,
  labels: TargetLabels,
  content: RunContent | undefined,
): SpanEnd {
  const { target, ttft_ms: ttft, finish_reason: finish, error_code: error } = record;
  const isCounted = record.token_source !== null;
  return {
    // Another target may have answered than was asked first.
    name: `chat ${labels.model}`,
    attributes: {
      'gen_ai.provider.name': labels.provider,
      'gen_ai.request.model': target.slice(target.indexOf('/') + 1),
      'sluice.run.id': record.run_id,
      'sluice.run.status': record.status,
      ...(finish !== null && { 'gen_ai.response.finish_reasons': [finish] }),
      ...(ttft !== null && { 'gen_ai.response.time_to_first_chunk': ttft / 1000 }),
      ...(isCounted && {
        'gen_ai.usage.input_tokens': record.prompt_tokens,
        'gen_ai.usage.output_tokens': record.completion_tokens,
        'gen_ai.usage.cache_read.input_tokens': record.cached_tokens,
        'gen_ai.usage.reasoning.output_tokens': record.reasoning_tokens,
      }),
      ...(content && {
        'gen_ai.input.messages': JSON.stringify(content.input),
        'gen_ai.output.messages': JSON.stringify(content.output),
      }),
    },
    ...(error !== null && { error }),
  };
}
