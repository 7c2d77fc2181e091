import { z } from 'zod';
import type { ToolCall } from './steps.js';

/** JSON Schema, as much of it as a plausible value needs. */
interface Schema {
  type?: string | string[];
  enum?: unknown[];
  default?: unknown;
  minimum?: number;
  required?: string[];
  properties?: Record<string, Schema>;
  items?: Schema;
}

const nested: z.ZodType<Schema> = z.lazy(() => schema);

/** What is written otherwise counts as any value. */
const schema: z.ZodType<Schema> = z
  .object({
    type: z.union([z.string(), z.array(z.string())]).optional(),
    enum: z.array(z.unknown()).optional(),
    default: z.unknown().optional(),
    minimum: z.number().optional(),
    required: z.array(z.string()).optional(),
    properties: z.record(z.string(), nested).optional(),
    items: nested.optional(),
  })
  .catch({});

const toolsOfRequest = z.tuple(
  [z.object({ function: z.object({ name: z.string(), parameters: schema.optional() }) })],
  z.unknown(),
);

/** A call of the request's first tool; of one for the weather where the request brings none. */
export function sampleCall(tools: unknown): ToolCall {
  const { data } = toolsOfRequest.safeParse(tools);
  if (!data) return { name: 'get_weather', arguments: '{"city":"Tokyo"}' };
  const { name, parameters } = data[0].function;
  return { name, arguments: JSON.stringify(sampleObject(parameters ?? {})) };
}

function sampleObject({ properties, required = [] }: Schema): object {
  return Object.fromEntries(required.map((key) => [key, sample(key, properties?.[key] ?? {})]));
}

function sample(name: string, schema: Schema): unknown {
  const given = schema.default ?? schema.enum?.[0];
  if (given !== undefined) return given;
  switch ([schema.type].flat()[0]) {
    case 'integer':
    case 'number':
      return schema.minimum ?? 1;
    case 'boolean':
      return true;
    case 'array':
      return [sample(name, schema.items ?? {})];
    case 'object':
      return sampleObject(schema);
    default:
      return `some ${name}`;
  }
}
