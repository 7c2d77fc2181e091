import type { ChatRequest } from '../providers/chat-provider.js';

/** About what a token is of a text in UTF-8, whatever its language, in bytes. */
const BYTES_PER_TOKEN = 4;

/** What the chat format adds to each message, and to the whole. */
const MESSAGE_TOKENS = 4;
const REPLY_TOKENS = 3;

/** What an image, a sound or a file is taken for: only the provider knows what it is worth. */
const PART_TOKENS = 1_000;

/** What an answer is taken for when its request doesn't bound it. */
export const DEFAULT_COMPLETION_TOKENS = 1_024;

/**
 * What a request may use, prompt and answer, before anybody counts. It takes no tokenizer: nobody waits
 * for one, and what was really used counts when the run is over.
 */
export function estimateTokens(request: ChatRequest): number {
  const { messages, tools, n } = request;
  const bytes = messages.reduce((sum, message) => sum + bytesOf(message), 0) + bytesOf(tools);
  const prompt = Math.ceil(bytes / BYTES_PER_TOKEN) + MESSAGE_TOKENS * messages.length;
  return prompt + REPLY_TOKENS + (n ?? 1) * completionOf(request);
}

function completionOf({ max_completion_tokens, max_tokens }: ChatRequest): number {
  const bound = [max_completion_tokens, max_tokens].find((given) => Number.isSafeInteger(given));
  return Math.max(0, (bound as number | undefined) ?? DEFAULT_COMPLETION_TOKENS);
}

/** The texts of a message, or of anything else that goes along as JSON, without its names. */
function bytesOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return 0;
  if (isMedia(value)) return PART_TOKENS * BYTES_PER_TOKEN;
  return Object.values(value).reduce<number>((sum, each) => sum + bytesOf(each), 0);
}

/** A part of a message's content that is no text, such as `image_url`, has its data under its type. */
function isMedia(value: object): boolean {
  const { type } = value as { type?: unknown };
  if (typeof type !== 'string' || type === 'text' || type === 'function') return false;
  return type in value;
}
