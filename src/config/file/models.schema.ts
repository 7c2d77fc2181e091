import { z } from 'zod';
import { atLeastOne } from './lists.js';
import { whole } from './numbers.js';
import { timeoutsSchema, type Timeouts } from './timeouts.schema.js';

/** A name of the operator's choice for one or more models. */
export interface AliasSettings {
  /** May have one `*`, for any text. */
  name: string;
  /** Providers, or `<provider>/<model>`, in which `*` is what the name's `*` stands for. */
  targets: readonly [string, ...string[]];
  systemPrompt?: string;
  defaults?: Record<string, unknown>;
  pinned?: Record<string, unknown>;
  timeouts?: Partial<Timeouts>;
  /** How often a target is tried, the first time included. */
  attempts?: number;
}

/** What Sluice itself decides on, or what the conversation is: no alias's to set. */
const RESERVED = ['messages', 'model', 'n', 'stream', 'stream_options'];

const parametersSchema = z.record(z.string(), z.unknown()).superRefine((parameters, context) => {
  for (const name of RESERVED.filter((reserved) => reserved in parameters)) {
    const message = 'expected another parameter: an alias has no say in this one';
    context.addIssue({ code: 'custom', path: [name], message });
  }
});

const aliasSchema = z
  .strictObject({
    targets: atLeastOne(z.string(), 'expected a list of at least one target'),
    system_prompt: z.string().optional(),
    defaults: parametersSchema.optional(),
    pinned: parametersSchema.optional(),
    timeouts: timeoutsSchema.optional(),
    retry: z.strictObject({ attempts: whole(1, 100) }).optional(),
  })
  .transform(({ system_prompt: systemPrompt, retry, ...alias }) => ({
    ...alias,
    systemPrompt,
    attempts: retry?.attempts,
  }));

/** A model's name, or a pattern for several. */
export const modelNameSchema = z
  .string()
  .regex(/^[^*]*\*?[^*]*$/, { error: 'expected a name with one * at most' });

/** The file's `models`: aliases by their names. */
export const modelsSchema = z
  .record(modelNameSchema, aliasSchema)
  .transform((models) =>
    Object.entries(models).map(([name, alias]): AliasSettings => ({ name, ...alias })),
  );
