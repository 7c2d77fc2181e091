import { z } from 'zod';
import type { ChatRequestBody } from '../chat-request.schema.js';
import { messagesSchema, toChatMessages } from './messages.js';
import { parametersSchema, toChatParameters } from './parameters.js';

/** https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion */
export const ollamaChatSchema = parametersSchema.extend({
  messages: messagesSchema.describe('None: the model is loaded or, with keep_alive 0, unloaded.'),
  tools: z.array(z.looseObject({})).nullish().describe("Functions, as in OpenAI's requests."),
});

export type OllamaChat = z.infer<typeof ollamaChatSchema>;

/** The same conversation as OpenAI's request. */
export function ofChat({ messages, tools, ...asked }: OllamaChat): ChatRequestBody {
  return {
    ...toChatParameters(asked),
    // ollama-python sends an empty list for none, which OpenAI refuses.
    ...(tools?.length && { tools }),
    messages: toChatMessages(messages ?? []),
  };
}
