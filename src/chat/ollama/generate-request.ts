import { z } from 'zod';
import type { ChatRequestBody } from '../chat-request.schema.js';
import { imagesSchema, toContent } from './messages.js';
import { parametersSchema, toChatParameters } from './parameters.js';

/**
 * https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-completion
 *
 * `raw` and `template` are about how a prompt is put before a model, which is the provider's to do.
 */
export const ollamaGenerateSchema = parametersSchema.extend({
  prompt: z
    .string()
    .nullish()
    .describe('None: the model is loaded or, with keep_alive 0, unloaded.'),
  system: z.string().nullish(),
  images: imagesSchema,
  suffix: z
    .string()
    .max(0, { error: 'is not supported: a chat model does not fill in the middle' })
    .nullish(),
  context: z
    .array(z.number())
    .max(0, { error: 'is not supported: /api/chat goes on with a conversation' })
    .nullish(),
});

export type OllamaGenerate = z.infer<typeof ollamaGenerateSchema>;

/** The prompt as a conversation; an empty one for an empty prompt. */
export function ofPrompt({ prompt, system, images, ...asked }: OllamaGenerate): ChatRequestBody {
  const messages = [
    ...(system ? [{ role: 'system', content: system }] : []),
    { role: 'user', content: toContent(prompt ?? '', images) },
  ];
  return { ...toChatParameters(asked), messages: prompt ? messages : [] } as ChatRequestBody;
}
