import { z } from 'zod';
import { FORMATS } from './dialects/formats.js';

export const MAX_MESSAGES = 10_000;
const MAX_CHOICES = 128;
const MAX_MODEL_LENGTH = 256;

export const modelSchema = z
  .string()
  .min(1)
  .max(MAX_MODEL_LENGTH)
  // eslint-disable-next-line no-control-regex -- what would break a line of a log or a header
  .regex(/^[^\u0000-\u001f\u007f]*$/, { error: 'must not contain control characters' })
  .describe(
    'An alias, a provider, `<provider>/<model>`, or any model name of the default provider. Default: DEFAULT_MODEL.',
  );

const message = z
  .looseObject({
    role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
    content: z
      .union([z.string(), z.array(z.looseObject({ type: z.string() }))], {
        error: 'expected a string or an array of content parts',
      })
      .nullish(),
  })
  .describe("One of OpenAI's chat messages.");

/** OpenAI's chat-completions request. What Sluice does not know goes upstream untouched. */
export const chatRequestSchema = z.looseObject({
  model: modelSchema.nullish(),
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  n: z.int().min(1).max(MAX_CHOICES).nullish().describe('How many answers to generate.'),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
});

export type ChatRequestBody = z.infer<typeof chatRequestSchema>;

/** A model as a part of a path; its slashes may be raw or encoded. */
export const deploymentSchema = z
  .union([z.string(), z.array(z.string())])
  .transform((path) => [path].flat().join('/'))
  .pipe(modelSchema);

export type Deployment = z.infer<typeof deploymentSchema>;

/** Azure's own guide has its clients send an empty name beside the one in the path. */
export const deploymentRequestSchema = chatRequestSchema.extend({ model: z.string().nullish() });

const format = z.enum(FORMATS).optional();

/** The query of both native routes. */
export const streamQuerySchema = z.object({ format });
export type StreamQuery = z.infer<typeof streamQuerySchema>;

/** The query of `GET /v1/chat/stream`, for clients that can send nothing else. */
export const questionQuerySchema = z.object({
  q: z.string().min(1).optional(),
  model: modelSchema.optional(),
  format,
});
export type QuestionQuery = z.infer<typeof questionQuerySchema>;
