type Schema = Record<string, unknown>;

/** What OpenAI takes at every place of a strict schema; of the others some are refused. */
const KEYWORDS = new Set([
  '$schema',
  '$defs',
  'title',
  'description',
  'type',
  'enum',
  'const',
  'properties',
  'required',
  'additionalProperties',
  'items',
  'anyOf',
]);

/**
 * Whether OpenAI takes a JSON schema as a strict one: an object of which, and of all objects within,
 * every property is required and no other is allowed.
 * https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
 */
export function isStrictSchema(schema: Schema): boolean {
  return schema.type === 'object' && isStrict(schema);
}

function isStrict(schema: unknown): boolean {
  if (!isObject(schema)) return false;
  const names = Object.keys(schema);
  if (names.includes('$ref')) return names.length === 1;
  return (
    names.every((name) => KEYWORDS.has(name)) &&
    isTyped(schema) &&
    isClosed(schema) &&
    within(schema).every(isStrict)
  );
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null;
}

function isTyped({ type, anyOf, items }: Schema): boolean {
  if (type === undefined) return anyOf !== undefined;
  return items !== undefined || ![type].flat().includes('array');
}

function isClosed({ type, properties, required, additionalProperties }: Schema): boolean {
  if (!properties && ![type].flat().includes('object')) return true;
  const all = new Set<unknown>(Array.isArray(required) ? required : []);
  const names = Object.keys(Object(properties) as Schema);
  return additionalProperties === false && names.every((name) => all.has(name));
}

function within({ properties, $defs, anyOf, items }: Schema): unknown[] {
  const schemas = [properties, $defs, anyOf].flatMap((some) =>
    Object.values(Object(some) as Schema),
  );
  return items === undefined ? schemas : [...schemas, items];
}
