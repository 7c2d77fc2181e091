import { EXTENSIONS, type ChatRequest } from '../providers/chat-provider.js';

/** About what a token is of a text in UTF-8, whatever its language, in bytes. */
const BYTES_PER_TOKEN = 4;

/** What the chat format adds to each message, and to the whole. */
const MESSAGE_TOKENS = 4;
const REPLY_TOKENS = 3;

/** Parts of a message whose data are no text. */
const MEDIA = new Set([
  'image_url',
  'input_audio',
  'audio_url',
  'video_url',
  'document_url',
  'file',
  'image',
]);

const DATA_URL = /^data:[^,]{0,200};base64,/;

/** What an image, a sound or a file is taken for: only the provider knows what it is worth. */
const MEDIA_BYTES = 1_000 * BYTES_PER_TOKEN;

/** What an answer is taken for when its request doesn't bound it. */
export const DEFAULT_COMPLETION_TOKENS = 1_024;

/** More than any limit that means something, and little enough for every store to add up. */
const MAX_TOKENS = 2 ** 40;

/**
 * What a request may use, prompt and answer, before anybody counts. It takes no tokenizer: nobody waits
 * for one, and what was really used counts when the run is over.
 */
export function estimateTokens(request: ChatRequest): number {
  const { messages, tools, n } = request;
  const bytes = messages.reduce((sum, message) => sum + bytesOfMessage(message), bytesOf(tools));
  const prompt = Math.ceil(bytes / BYTES_PER_TOKEN) + MESSAGE_TOKENS * messages.length;
  return Math.min(MAX_TOKENS, prompt + REPLY_TOKENS + (n ?? 1) * completionOf(request));
}

/** Which of several bounds holds is for the provider to say, so it is the largest; -1 is none. */
function completionOf(request: ChatRequest): number {
  const { max_completion_tokens, max_tokens, options } = { ...request, ...request[EXTENSIONS] };
  const { num_predict } = Object(options) as { num_predict?: unknown };
  const bounds = [max_completion_tokens, max_tokens, num_predict]
    .filter((bound) => bound != null)
    .map((bound) =>
      typeof bound === 'number' && bound > 0 ? Math.ceil(bound) : DEFAULT_COMPLETION_TOKENS,
    );
  return bounds.length === 0 ? DEFAULT_COMPLETION_TOKENS : Math.max(...bounds);
}

function bytesOfMessage({ content, ...rest }: ChatRequest['messages'][number]): number {
  const parts: unknown[] = Array.isArray(content) ? content : [content];
  return parts.reduce<number>(
    (sum, part) => sum + (isMedia(part) ? MEDIA_BYTES : bytesOf(part)),
    bytesOf(rest),
  );
}

/** The texts in whatever goes along as JSON, without its names. */
function bytesOf(value: unknown): number {
  if (typeof value === 'string')
    return DATA_URL.test(value) ? MEDIA_BYTES : Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return 0;
  // Anthropic's `source` of an image or a document, which can also be a text.
  if ('data' in value && typeOf(value) === 'base64') return MEDIA_BYTES;
  return Object.values(value).reduce<number>((sum, each) => sum + bytesOf(each), 0);
}

function isMedia(part: unknown): boolean {
  const type = typeOf(part);
  return typeof type === 'string' && MEDIA.has(type);
}

function typeOf(value: unknown): unknown {
  return (Object(value) as { type?: unknown }).type;
}
