import { z } from 'zod';
import { whole } from './numbers.js';
import { timeoutsSchema } from './timeouts.schema.js';

/** What a request is made of and Sluice decides on: no alias's to set. */
const RESERVED = ['messages', 'model', 'n', 'stream', 'stream_options'];

const parametersSchema = z.record(z.string(), z.unknown()).superRefine((parameters, context) => {
  for (const name of RESERVED.filter((reserved) => reserved in parameters)) {
    context.addIssue({ code: 'custom', path: [name], message: "can't be set by an alias" });
  }
});

const aliasSchema = z
  .strictObject({
    targets: z.tuple([z.string()], z.string(), { error: 'expected a list of at least one target' }),
    system_prompt: z.string().optional(),
    defaults: parametersSchema.optional(),
    pinned: parametersSchema.optional(),
    timeouts: timeoutsSchema.optional(),
    retry: z.strictObject({ attempts: whole(1, 100) }).optional(),
  })
  .transform(({ system_prompt, retry, ...alias }) => ({
    ...alias,
    systemPrompt: system_prompt,
    attempts: retry?.attempts,
  }));

/** The file's `models`: aliases by their names, which may have a `*` for any text. */
export const modelsSchema = z.record(
  z.string().regex(/^[^*]*\*?[^*]*$/, { error: 'expected a name with at most one *' }),
  aliasSchema,
);
