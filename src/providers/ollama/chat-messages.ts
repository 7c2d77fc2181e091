import { z } from 'zod';
import { ChatError } from '../../errors/chat-error.js';

const image = z.string().transform((url, context) => {
  const [, base64] = /^data:[^,]*;base64,(.*)$/s.exec(url) ?? [];
  if (base64 !== undefined) return base64;
  context.addIssue('expected a data: URL in base64, as Ollama fetches no images');
  return z.NEVER;
});

const toolArguments = z.string().transform((json, context) => {
  // What a call of a tool without parameters often has.
  if (json.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  context.addIssue('expected the JSON of an object');
  return z.NEVER;
});

const part = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text'), text: z.string() }),
    z.object({ type: z.literal('refusal'), refusal: z.string() }),
    z.object({ type: z.literal('image_url'), image_url: z.object({ url: image }) }),
  ],
  { error: 'expected text or image_url, as Ollama takes nothing else' },
);

const content = z
  .union([z.string(), z.array(z.unknown())], { error: 'expected a text or an array of parts' })
  .transform((value) => (typeof value === 'string' ? [{ type: 'text', text: value }] : value))
  .pipe(z.array(part));

const toolCall = z.object({
  id: z.string(),
  function: z.object({ name: z.string(), arguments: toolArguments }),
});

/** OpenAI's message, as much of it as Ollama can take. */
const message = z.object({
  role: z.string(),
  content: content.nullish(),
  reasoning_content: z.string().nullish(),
  tool_calls: z.array(toolCall).nullish(),
  tool_call_id: z.string().nullish(),
});

type Message = z.infer<typeof message>;
type Part = z.infer<typeof part>;

/**
 * Ollama's messages: text and images apart, tool arguments as objects, and the tool's name beside a
 * result, which OpenAI knows by its call's id alone.
 * @throws {ChatError} `invalid_request` that names the place in the request
 */
export function toOllamaMessages(messages: unknown) {
  const result = z.array(message).safeParse(messages);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const param = z.core.toDotPath(['messages', ...issue.path]);
    throw new ChatError('invalid_request', `${param}: ${issue.message}.`, { param });
  }
  const toolNames = new Map<string, string>();
  return result.data.map((message) => {
    for (const call of message.tool_calls ?? []) toolNames.set(call.id, call.function.name);
    return toOllamaMessage(message, toolNames);
  });
}

function toOllamaMessage(message: Message, toolNames: Map<string, string>) {
  const parts = message.content ?? [];
  const images = parts.flatMap((part) => (part.type === 'image_url' ? [part.image_url.url] : []));
  const toolCallId = message.tool_call_id;
  return {
    role: message.role === 'developer' ? 'system' : message.role,
    content: parts.flatMap(textsOf).join('\n'),
    ...(message.reasoning_content && { thinking: message.reasoning_content }),
    ...(images.length > 0 && { images }),
    ...(message.tool_calls && { tool_calls: message.tool_calls }),
    ...(toolCallId && { tool_name: toolNames.get(toolCallId), tool_call_id: toolCallId }),
  };
}

function textsOf(part: Part): string[] {
  switch (part.type) {
    case 'text':
      return [part.text];
    case 'refusal':
      return [part.refusal];
    case 'image_url':
      return [];
  }
}
