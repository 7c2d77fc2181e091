import { z } from 'zod';

const text = z.object({ type: z.literal('text'), text: z.string() });

const image = z.object({
  type: z.literal('image'),
  source: z.discriminatedUnion(
    'type',
    [
      z.object({ type: z.literal('base64'), media_type: z.string(), data: z.string() }),
      z.object({ type: z.literal('url'), url: z.string() }),
    ],
    { error: 'expected base64 or url' },
  ),
});

const document = z.object({
  type: z.literal('document'),
  title: z.string().nullish(),
  context: z.string().nullish(),
  source: z.discriminatedUnion(
    'type',
    [
      z.object({ type: z.literal('base64'), media_type: z.string(), data: z.string() }),
      z.object({ type: z.literal('text'), data: z.string() }),
    ],
    { error: 'expected base64 or text' },
  ),
});

const toolResult = z.object({
  type: z.literal('tool_result'),
  tool_use_id: z.string(),
  content: blocks([text, image, document]).nullish(),
  is_error: z.boolean().nullish(),
});

const toolUse = z.object({
  type: z.literal('tool_use'),
  id: z.string(),
  name: z.string(),
  input: z.unknown(),
});

const thinking = z.object({ type: z.enum(['thinking', 'redacted_thinking']) });

export const textBlocks = blocks([text]);
export const userBlocks = blocks([text, image, document, toolResult]);
export const assistantBlocks = blocks([text, toolUse, thinking]);

export type UserBlock = z.infer<typeof userBlocks>[number];
export type AssistantBlock = z.infer<typeof assistantBlocks>[number];
/** What is shown to a model, by the user or as the result of a tool. */
export type ShownBlock = Exclude<UserBlock, { type: 'tool_result' }>;

type Block = z.core.$ZodTypeDiscriminable;

/** Content blocks of some types; a text alone stands for one block. */
function blocks<const Kinds extends readonly [Block, ...Block[]]>(kinds: Kinds) {
  return z
    .union([z.string(), z.array(z.unknown())], {
      error: 'expected a text or an array of content blocks',
    })
    .transform((content) =>
      typeof content === 'string' ? [{ type: 'text', text: content }] : content,
    )
    .pipe(
      z.array(z.discriminatedUnion('type', kinds, { error: 'not a block that can be used here' })),
    );
}
