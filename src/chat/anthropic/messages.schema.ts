import { z } from 'zod';
import { MAX_MESSAGES, modelSchema } from '../chat-request.schema.js';
import { assistantBlocks, textBlocks, userBlocks } from './content-blocks.schema.js';

const shown = userBlocks.refine((content) => content.length > 0, { error: 'must not be empty' });

const message = z.discriminatedUnion('role', [
  z.object({ role: z.literal('user'), content: shown }),
  z.object({ role: z.literal('assistant'), content: assistantBlocks }),
  z.object({ role: z.literal('system'), content: textBlocks }),
]);

/** A tool that the caller runs; those that Anthropic runs have no schema, and nobody here to run them. */
const tool = z.object({
  name: z.string().min(1),
  description: z.string().nullish(),
  input_schema: z.looseObject(
    {},
    { error: "expected a JSON schema: Anthropic's own tools can't be used" },
  ),
  strict: z.boolean().nullish(),
});

const toolChoice = z
  .object({
    type: z.enum(['auto', 'any', 'tool', 'none']),
    name: z.string().nullish(),
    disable_parallel_tool_use: z.boolean().nullish(),
  })
  .refine(({ type, name }) => type !== 'tool' || name, {
    error: 'expected the name of a tool',
    path: ['name'],
  });

const outputFormat = z.object({ type: z.literal('json_schema'), schema: z.looseObject({}) });

/** Without what Anthropic runs beside its models the answer would be another than was asked for. */
const mcpServers = z
  .array(z.unknown())
  .max(0, { error: "is not supported: Anthropic's connector can't be used" });
const container = z.null({ error: "is not supported: Anthropic's can't be used" });

/** What `POST /v1/messages/count_tokens` takes. */
export const promptSchema = z.object({
  model: modelSchema,
  system: textBlocks.nullish(),
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  tools: z.array(tool).nullish(),
  tool_choice: toolChoice.nullish(),
  mcp_servers: mcpServers.nullish(),
});

export type Prompt = z.infer<typeof promptSchema>;

/**
 * Anthropic's Messages request, as much of it as means something to other providers; the rest, such
 * as `cache_control`, is left out.
 * https://docs.anthropic.com/en/api/messages
 */
export const messagesRequestSchema = promptSchema.extend({
  max_tokens: z.int().min(1),
  stream: z.boolean().nullish(),
  stop_sequences: z.array(z.string()).nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  top_k: z.number().nullish(),
  thinking: z.object({ type: z.string(), budget_tokens: z.number().nullish() }).nullish(),
  output_config: z
    .object({ effort: z.string().nullish(), format: outputFormat.nullish() })
    .nullish(),
  output_format: outputFormat.nullish().describe('Its name before `output_config`.'),
  metadata: z.object({ user_id: z.string().nullish() }).nullish(),
  container: container.optional(),
});

export type MessagesRequest = z.infer<typeof messagesRequestSchema>;
