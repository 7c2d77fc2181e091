import type {
  ChatCompletionContentPart,
  ChatCompletionMessageParam,
} from 'openai/resources/chat/completions';
import { filePartOf } from './file-part.js';
import type { ToolPart, UIMessage, UIPart } from './ui-request.schema.js';

/** What a model is told where nobody answered its call: services refuse a call without a result. */
const UNANSWERED = 'The tool call was not answered.';
const DENIED = 'The tool call was denied.';

/**
 * UI messages as OpenAI's. A page's message has all that an assistant did for one question: every
 * step of it is a message of its own, followed by the results of its tool calls. Reasoning is left
 * out, as OpenAI takes none back.
 *
 * https://github.com/vercel/ai/blob/main/packages/ai/src/ui/convert-to-model-messages.ts
 * @throws {ChatError} `invalid_request` for a file that no service takes
 */
export function toChatMessages(messages: readonly UIMessage[]): ChatCompletionMessageParam[] {
  return messages.flatMap(({ role, parts }, at): ChatCompletionMessageParam[] => {
    switch (role) {
      case 'system':
        return [{ role, content: textOf(parts) }];
      case 'user':
        return [{ role, content: contentOf(parts, `messages.${at}.parts`) }];
      case 'assistant':
        return stepsOf(parts).flatMap(messagesOfStep);
    }
  });
}

function contentOf(parts: readonly UIPart[], path: string): string | ChatCompletionContentPart[] {
  const content = parts.flatMap((part, at): ChatCompletionContentPart[] => {
    if (part.type === 'text') return [{ type: 'text', text: part.text }];
    return part.type === 'file' ? [filePartOf(part, `${path}.${at}`)] : [];
  });
  // Every service takes a string; some take nothing else.
  return content.every(({ type }) => type === 'text') && content.length < 2
    ? textOf(parts)
    : content;
}

function stepsOf(parts: readonly UIPart[]): UIPart[][] {
  const steps: UIPart[][] = [[]];
  for (const part of parts) {
    if (part.type === 'step-start') steps.push([]);
    else steps.at(-1)!.push(part);
  }
  return steps;
}

function messagesOfStep(parts: readonly UIPart[]): ChatCompletionMessageParam[] {
  const text = textOf(parts);
  // Those whose arguments never came to their end were never made.
  const calls = parts.filter(isToolPart).filter(({ state }) => state !== 'input-streaming');
  if (text === '' && calls.length === 0) return [];
  const toolCalls = calls.map((part) => ({
    id: part.toolCallId,
    type: 'function' as const,
    function: { name: nameOf(part), arguments: JSON.stringify(part.input ?? {}) },
  }));
  return [
    {
      role: 'assistant',
      content: text || null,
      ...(calls.length > 0 && { tool_calls: toolCalls }),
    },
    ...calls.map((part) => ({
      role: 'tool' as const,
      tool_call_id: part.toolCallId,
      content: resultOf(part),
    })),
  ];
}

function resultOf({ state, output, errorText, approval }: ToolPart): string {
  switch (state) {
    case 'output-available':
      return typeof output === 'string' ? output : JSON.stringify(output ?? null);
    case 'output-error':
      return errorText ?? '';
    case 'output-denied':
      return approval?.reason ?? DENIED;
    default:
      return UNANSWERED;
  }
}

function nameOf(part: ToolPart): string {
  return part.type === 'dynamic-tool' ? part.toolName : part.type.slice('tool-'.length);
}

function isToolPart(part: UIPart): part is ToolPart {
  return 'toolCallId' in part;
}

function textOf(parts: readonly UIPart[]): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}
