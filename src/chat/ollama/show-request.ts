import { z } from 'zod';
import { chatRequestSchema } from '../chat-request.schema.js';

const { model } = chatRequestSchema.shape;

/** https://github.com/ollama/ollama/blob/main/docs/api.md#show-model-information */
export const ollamaShowSchema = z.object({
  model,
  name: model.describe('The same; what it was called before.'),
});

export type OllamaShow = z.infer<typeof ollamaShowSchema>;
