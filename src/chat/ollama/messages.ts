import { z } from 'zod';
import { MAX_MESSAGES } from '../chat-request.schema.js';

/** What the base64 of an image begins with: Ollama's clients don't say which kind it is. */
const IMAGE_TYPES: Record<string, string> = {
  iVBOR: 'image/png',
  '/9j/': 'image/jpeg',
  R0lGOD: 'image/gif',
  UklGR: 'image/webp',
};

export const imagesSchema = z.array(z.string()).nullish().describe('Images in base64.');

const toolCall = z.object({
  id: z.string().nullish(),
  function: z.object({ name: z.string(), arguments: z.looseObject({}).nullish() }),
});

const message = z.object({
  role: z
    .string()
    .toLowerCase()
    .pipe(z.enum(['system', 'developer', 'user', 'assistant', 'tool'])),
  content: z.string().nullish(),
  thinking: z.string().nullish(),
  images: imagesSchema,
  tool_calls: z.array(toolCall).nullish(),
  tool_name: z.string().nullish().describe('On the result of a tool: whose it is.'),
  tool_call_id: z.string().nullish(),
});

export const messagesSchema = z.array(message).max(MAX_MESSAGES).nullish();

type Message = z.infer<typeof message>;

interface Call {
  id: string;
  name: string;
}

/**
 * OpenAI's messages. Its results of tools name their call by an id, which Ollama's clients may not
 * have: the id of the first call of that tool that has no result yet.
 */
export function toChatMessages(messages: readonly Message[]) {
  const unanswered: Call[] = [];
  return messages.map((message, position) => {
    const { role, content, thinking, images, tool_calls } = message;
    const calls = (tool_calls ?? []).map((call, index) => ({
      id: call.id || `call_${position}_${index}`,
      type: 'function' as const,
      function: {
        name: call.function.name,
        arguments: JSON.stringify(call.function.arguments ?? {}),
      },
    }));
    unanswered.push(...calls.map(({ id, function: { name } }) => ({ id, name })));
    return {
      role,
      content: toContent(content ?? '', images),
      ...(thinking && { reasoning_content: thinking }),
      ...(calls.length > 0 && { tool_calls: calls }),
      ...(role === 'tool' && { tool_call_id: takeCall(unanswered, message) }),
    };
  });
}

/** A text, or parts where there are images with it. */
export function toContent(text: string, images?: readonly string[] | null) {
  if (!images?.length) return text;
  return [
    ...(text === '' ? [] : [{ type: 'text', text }]),
    ...images.map((image) => ({ type: 'image_url', image_url: { url: toDataUrl(image) } })),
  ];
}

function toDataUrl(image: string): string {
  if (image.startsWith('data:')) return image;
  const known = Object.keys(IMAGE_TYPES).find((start) => image.startsWith(start));
  return `data:${known ? IMAGE_TYPES[known] : 'image/jpeg'};base64,${image}`;
}

function takeCall(unanswered: Call[], { tool_call_id, tool_name }: Message): string {
  const at = unanswered.findIndex(({ id, name }) =>
    tool_call_id ? id === tool_call_id : !tool_name || name === tool_name,
  );
  const [call] = at === -1 ? [] : unanswered.splice(at, 1);
  return tool_call_id || (call?.id ?? `call_${tool_name ?? ''}`);
}
