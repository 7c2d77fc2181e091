import type { ChatCompletionContentPart } from 'openai/resources/chat/completions';
import { ChatError } from '../../errors/chat-error.js';
import type { FilePart } from './ui-request.schema.js';

const AUDIO_FORMATS: Readonly<Record<string, 'wav' | 'mp3'>> = {
  'audio/wav': 'wav',
  'audio/mp3': 'mp3',
  'audio/mpeg': 'mp3',
};

/**
 * A file as one of OpenAI's content parts: an image by its URL, text as text, the rest with its data.
 *
 * @param param where the part is in the request
 * @throws {ChatError} `invalid_request` for a link to anything but an image: no service follows it
 */
export function filePartOf(
  { mediaType, url, filename }: FilePart,
  param: string,
): ChatCompletionContentPart {
  if (mediaType.startsWith('image/')) return { type: 'image_url', image_url: { url } };
  const data = base64Of(url);
  if (data === undefined) {
    const message = `${param}: a file of type ${mediaType} must come as a data: URL in base64.`;
    throw new ChatError('invalid_request', message, { param });
  }
  const format = AUDIO_FORMATS[mediaType];
  if (format) return { type: 'input_audio', input_audio: { data, format } };
  if (mediaType.startsWith('text/')) {
    return { type: 'text', text: Buffer.from(data, 'base64').toString() };
  }
  return { type: 'file', file: { filename: filename ?? 'file', file_data: url } };
}

function base64Of(url: string): string | undefined {
  return /^data:[^,]*;base64,(.*)$/is.exec(url)?.[1];
}
