import { createHash } from 'node:crypto';
import { EXTENSIONS } from '../../providers/chat-provider.js';
import type { ChatRequestBody } from '../chat-request.schema.js';
import { toChatMessages } from './chat-messages.js';
import type { MessagesRequest, Prompt } from './messages.schema.js';
import { isStrictSchema } from './strict-schema.js';

/** What OpenAI takes for `user`; Claude Code's id is longer. In characters. */
const MAX_USER_LENGTH = 64;

/** Up to these budgets of thinking, in tokens, an effort is called so. */
const LOW_BUDGET = 4_096;
const MEDIUM_BUDGET = 16_384;

/** Efforts that only Anthropic's models or OpenAI's newest have: the highest that all others know. */
const EFFORTS: Readonly<Record<string, string>> = { xhigh: 'high', max: 'high' };

const TOOL_CHOICES = { auto: 'auto', any: 'required', none: 'none' } as const;

/** Anthropic's request in OpenAI's words. */
export function toChatRequest(request: MessagesRequest): ChatRequestBody {
  return {
    ...toChatPrompt(request),
    stream: request.stream,
    // Not `max_tokens`, which OpenAI's reasoning models refuse.
    max_completion_tokens: request.max_tokens,
    stop: request.stop_sequences?.length ? request.stop_sequences : undefined,
    temperature: request.temperature ?? undefined,
    top_p: request.top_p ?? undefined,
    top_k: request.top_k ?? undefined,
    reasoning_effort: effortOf(request),
    response_format: responseFormatOf(request),
    user: userOf(request),
    // Ollama's models think unless they are told not to; others are not asked to.
    [EXTENSIONS]: request.thinking?.type === 'disabled' ? { think: false } : {},
  };
}

/** What a request asks, without how it is to be answered. */
export function toChatPrompt(prompt: Prompt): ChatRequestBody {
  const messages = toChatMessages(prompt) as unknown as ChatRequestBody['messages'];
  return { model: prompt.model, messages, ...toolsOf(prompt) };
}

/** OpenAI refuses an empty list of tools, and a choice where there are none. */
function toolsOf({ tools, tool_choice: choice }: Prompt) {
  if (!tools?.length) return {};
  return {
    tools: tools.map(({ name, description, input_schema, strict }) => ({
      type: 'function',
      function: {
        name,
        description: description ?? undefined,
        parameters: input_schema,
        strict: strict ?? undefined,
      },
    })),
    tool_choice: choice ? toolChoiceOf(choice) : undefined,
    parallel_tool_calls: choice?.disable_parallel_tool_use ? false : undefined,
  };
}

function toolChoiceOf({ type, name }: NonNullable<Prompt['tool_choice']>) {
  return type === 'tool' ? { type: 'function', function: { name } } : TOOL_CHOICES[type];
}

/** `adaptive` thinking leaves it to the model, as other providers do when they are not told. */
function effortOf({ thinking, output_config }: MessagesRequest): string | undefined {
  if (thinking?.type === 'disabled') return undefined;
  const effort = output_config?.effort;
  if (effort) return EFFORTS[effort] ?? effort;
  const budget = thinking?.budget_tokens;
  if (budget == null) return undefined;
  if (budget <= LOW_BUDGET) return 'low';
  return budget <= MEDIUM_BUDGET ? 'medium' : 'high';
}

/** As strict as Anthropic is, where OpenAI is too: it refuses a strict schema with optional properties. */
function responseFormatOf({ output_config, output_format }: MessagesRequest) {
  const schema = (output_config?.format ?? output_format)?.schema;
  if (!schema) return undefined;
  const strict = isStrictSchema(schema);
  return {
    type: 'json_schema',
    json_schema: { name: 'answer', schema, ...(strict && { strict }) },
  };
}

/** An id that is too long is told by its digest: the same user stays the same. */
function userOf({ metadata }: MessagesRequest): string | undefined {
  const id = metadata?.user_id;
  if (!id || id.length <= MAX_USER_LENGTH) return id || undefined;
  return createHash('sha256').update(id).digest('base64url');
}
