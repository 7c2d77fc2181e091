import type { ChatRequest } from '../providers/chat-provider.js';
import type { Entry } from './entry.js';

/**
 * A part of a message as OpenTelemetry writes it:
 * https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-input-messages.json
 */
type Part =
  | { type: 'text' | 'reasoning'; content: string }
  | { type: 'tool_call'; id?: string; name?: string; arguments: string }
  | { type: 'tool_call_response'; id: string; response: unknown }
  /** What is no text is only said to be there. */
  | { type: string };

export interface ContentMessage {
  role: string;
  parts: Part[];
  finish_reason?: string;
}

/** What a run was asked and what it answered, for those who want that in their logs or traces. */
export interface RunContent {
  input: ContentMessage[];
  output: ContentMessage[];
}

export function contentOfRun({ messages }: ChatRequest, entries: readonly Entry[]): RunContent {
  return { input: messages.map(inputMessage), output: [outputMessage(entries)] };
}

/** What is not as OpenAI has it is the provider's to judge; here it is left out. */
function inputMessage(message: ChatRequest['messages'][number]): ContentMessage {
  try {
    return toContent(message);
  } catch {
    return { role: message.role, parts: [] };
  }
}

function toContent(message: ChatRequest['messages'][number]): ContentMessage {
  const { role, content } = message;
  if (role === 'tool') {
    const { tool_call_id: id } = message;
    return { role, parts: [{ type: 'tool_call_response', id, response: content }] };
  }
  const said = typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content;
  const parts: Part[] = (said ?? []).map((part) =>
    part.type === 'text' ? { type: part.type, content: part.text } : { type: part.type },
  );
  const calls = ('tool_calls' in message && message.tool_calls) || [];
  for (const call of calls) {
    const { name, arguments: json } =
      call.type === 'function'
        ? call.function
        : { name: call.custom.name, arguments: call.custom.input };
    parts.push({ type: 'tool_call', id: call.id, name, arguments: json });
  }
  return { role, parts };
}

function outputMessage(entries: readonly Entry[]): ContentMessage {
  const calls = new Map<number, { id?: string; name?: string; arguments: string }>();
  let reasoning = '';
  let text = '';
  let finishReason: string | undefined;
  for (const { type, data } of entries) {
    if (type === 'reasoning') reasoning += data.content;
    if (type === 'message' || type === 'refusal') text += data.content;
    if (type === 'done') finishReason = data.finish_reason;
    if (type !== 'tool_call') continue;
    const { index, arguments: json, ...rest } = data;
    const call = calls.get(index) ?? { arguments: '' };
    calls.set(index, { ...call, ...rest, arguments: call.arguments + json });
  }
  const parts: Part[] = [...calls.values()].map((call) => ({ type: 'tool_call', ...call }));
  if (text !== '') parts.unshift({ type: 'text', content: text });
  if (reasoning !== '') parts.unshift({ type: 'reasoning', content: reasoning });
  return { role: 'assistant', parts, ...(finishReason && { finish_reason: finishReason }) };
}
