import { ChatError } from '../../errors/chat-error.js';
import { EXTENSIONS, type ChatRequest } from '../chat-provider.js';
import { toOllamaMessages } from './chat-messages.js';

/** Ollama's option for each of OpenAI's parameters; a later row outdoes an earlier one. */
const OPTIONS = {
  temperature: 'temperature',
  top_p: 'top_p',
  top_k: 'top_k',
  min_p: 'min_p',
  seed: 'seed',
  stop: 'stop',
  frequency_penalty: 'frequency_penalty',
  presence_penalty: 'presence_penalty',
  max_tokens: 'num_predict',
  max_completion_tokens: 'num_predict',
};

/** Ollama's `think` for the efforts that it calls something else; it checks the rest itself. */
const THINK: Record<string, unknown> = { none: false, minimal: 'low', xhigh: 'max' };

/**
 * Ollama's chat request. Its own parameters (`keep_alive`, `options`, `think`, `format`, …) may
 * stand in the request too, and go before what OpenAI's would become.
 * https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
 * @throws {ChatError} `invalid_request` for what Ollama has no way to take
 */
export function toOllamaRequest(model: string, asked: ChatRequest) {
  const request: ChatRequest = { ...asked, ...asked[EXTENSIONS] };
  if ((request.n ?? 1) > 1) {
    throw new ChatError('invalid_request', 'Ollama gives one answer: n must be 1.', { param: 'n' });
  }
  const { keep_alive, truncate, shift, logprobs, top_logprobs } = request;
  return {
    model,
    stream: true,
    messages: toOllamaMessages(request.messages),
    tools: request.tool_choice === 'none' ? undefined : request.tools,
    format: request.format ?? formatOf(request.response_format),
    think: request.think ?? thinkOf(request.reasoning_effort),
    options: optionsOf(request),
    keep_alive,
    truncate,
    shift,
    logprobs: logprobs ?? undefined,
    top_logprobs: top_logprobs ?? undefined,
  };
}

function formatOf(responseFormat: unknown): unknown {
  const { type, json_schema } = (responseFormat ?? {}) as {
    type?: unknown;
    json_schema?: { schema?: unknown };
  };
  if (type === 'json_object') return 'json';
  return type === 'json_schema' ? json_schema?.schema : undefined;
}

function thinkOf(effort: unknown): unknown {
  if (typeof effort !== 'string') return undefined;
  return THINK[effort] ?? effort;
}

function optionsOf(request: ChatRequest): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [parameter, option] of Object.entries(OPTIONS)) {
    const value = request[parameter];
    if (value != null) options[option] = value;
  }
  if (typeof options.stop === 'string') options.stop = [options.stop];
  return { ...options, ...(request.options as object | undefined) };
}
