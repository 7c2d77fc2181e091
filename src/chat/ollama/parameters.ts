import { z } from 'zod';
import { EXTENSIONS } from '../../providers/chat-provider.js';
import { chatRequestSchema } from '../chat-request.schema.js';

/** OpenAI's parameter for each of Ollama's options that there is one for. */
const PARAMETERS = {
  temperature: 'temperature',
  top_p: 'top_p',
  top_k: 'top_k',
  min_p: 'min_p',
  seed: 'seed',
  stop: 'stop',
  frequency_penalty: 'frequency_penalty',
  presence_penalty: 'presence_penalty',
};

/** What both routes take. The rest of Ollama's parameters is about running a model: it is ignored. */
export const parametersSchema = z.object({
  model: chatRequestSchema.shape.model,
  stream: z.boolean().nullish().describe('Default: true.'),
  format: z
    .union([z.literal(['', 'json']), z.looseObject({})], {
      error: 'expected json or a JSON schema',
    })
    .nullish()
    .describe('`json`, or a JSON schema that the answer has to match.'),
  think: z
    .union([z.boolean(), z.string()], { error: 'expected true, false, or how hard' })
    .nullish()
    .describe('Whether to think, or how hard: low, medium, high.'),
  options: z.looseObject({ num_predict: z.number().nullish() }).nullish(),
  keep_alive: z
    .union([z.number(), z.string()], { error: 'expected seconds, or a time such as 5m' })
    .nullish()
    .describe('Only a provider that is Ollama itself knows it.'),
  truncate: z.boolean().nullish(),
  shift: z.boolean().nullish(),
});

type Parameters = z.infer<typeof parametersSchema>;

/** OpenAI's parameters, and beside them Ollama's own for a provider that knows them. */
export function toChatParameters(asked: Parameters): Record<PropertyKey, unknown> {
  const { format, think, options, keep_alive, truncate, shift } = asked;
  const own = Object.entries({ think, options, keep_alive, truncate, shift });
  return {
    ...toSampling(options ?? {}),
    ...(format && { response_format: toResponseFormat(format) }),
    ...(typeof think === 'string' && { reasoning_effort: think === 'max' ? 'xhigh' : think }),
    [EXTENSIONS]: Object.fromEntries(own.filter(([, value]) => value != null)),
  };
}

function toSampling(options: NonNullable<Parameters['options']>): Record<string, unknown> {
  const parameters: Record<string, unknown> = {};
  for (const [option, parameter] of Object.entries(PARAMETERS)) {
    const value = options[option];
    // Such as a `stop` at nothing, which OpenAI refuses.
    const isEmpty = Array.isArray(value) && value.length === 0;
    if (value != null && !isEmpty) parameters[parameter] = value;
  }
  // Ollama's negative numbers stand for no limit.
  const { num_predict } = options;
  if (num_predict != null && num_predict > 0) parameters.max_tokens = num_predict;
  return parameters;
}

/** Not `strict`, which refuses the schemas that Ollama's clients derive from their types. */
function toResponseFormat(format: string | object) {
  if (typeof format === 'string') return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: 'answer', schema: format } };
}
