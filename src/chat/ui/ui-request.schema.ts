import { z } from 'zod';
import { MAX_MESSAGES, modelSchema } from '../chat-request.schema.js';

const MAX_ID_LENGTH = 512;

const id = z.string().min(1).max(MAX_ID_LENGTH);

const textPart = z.object({ type: z.literal('text'), text: z.string() });

const filePart = z.object({
  type: z.literal('file'),
  mediaType: z.string(),
  /** Where the file is, or all of it as a data: URL. */
  url: z.string(),
  filename: z.string().optional(),
});

const call = z.object({
  toolCallId: z.string(),
  state: z.string(),
  input: z.unknown().optional(),
  output: z.unknown().optional(),
  errorText: z.string().optional(),
  approval: z.object({ reason: z.string().optional() }).optional(),
});

const toolPart = z.union([
  call.extend({ type: z.templateLiteral(['tool-', z.string()]) }),
  call.extend({ type: z.literal('dynamic-tool'), toolName: z.string() }),
]);

const stepStart = z.object({ type: z.literal('step-start') });

/** What is for pages alone: reasoning, sources, an application's own data, parts of later SDKs. */
const otherPart = z
  .object({ type: z.string().regex(/^(?!(text|file|step-start|dynamic-tool|tool-.*)$)/) })
  .transform(() => ({ type: 'other' as const }));

const part = z.union([textPart, filePart, toolPart, stepStart, otherPart], {
  error: 'expected a part of a UI message',
});

const message = z
  .looseObject({
    id: z.string().max(MAX_ID_LENGTH).optional(),
    role: z.enum(['system', 'user', 'assistant']),
    parts: z.array(part),
  })
  .describe("One of the AI SDK's UI messages.");

/**
 * What `useChat` sends: the chat's `id`, its messages, why (`trigger`) and for which message. Beside
 * them an application may send what it likes; {@link toChatRequest} takes the parameters it knows.
 *
 * https://ai-sdk.dev/docs/reference/ai-sdk-core/ui-message
 */
export const uiRequestSchema = z.looseObject({
  id: id.nullish().describe('The chat. A new message stops what it is still generating.'),
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  model: modelSchema.nullish(),
  trigger: z.string().nullish(),
  messageId: z.string().nullish(),
});

export type UIRequest = z.infer<typeof uiRequestSchema>;
export type UIMessage = UIRequest['messages'][number];
export type UIPart = z.infer<typeof part>;
export type FilePart = z.infer<typeof filePart>;
export type ToolPart = z.infer<typeof toolPart>;

/** What a page's stop button may send along. */
export const stopRequestSchema = z
  .looseObject({
    activeStreamId: z.string().nullish().describe('The run to stop, if no other has taken over.'),
  })
  .optional();

export type StopRequest = z.infer<typeof stopRequestSchema>;

/** Tells a body of `useChat` from one of Ollama, whose clients post to the same `/api/chat`. */
export function isUiRequest(body: unknown): boolean {
  const { trigger, messages } = Object(body) as { trigger?: unknown; messages?: unknown };
  const first: unknown = Array.isArray(messages) ? messages[0] : undefined;
  return trigger !== undefined || (typeof first === 'object' && first !== null && 'parts' in first);
}
