import { describe, expect, it } from '@jest/globals';
import { isStrictSchema } from './strict-schema.js';

const text = { type: 'string', description: 'A text.' };

function object(properties: object, rest: object = {}) {
  const required = Object.keys(properties);
  return { type: 'object', properties, required, additionalProperties: false, ...rest };
}

describe(isStrictSchema.name, () => {
  it.each<[string, Record<string, unknown>]>([
    ['no properties', { type: 'object', additionalProperties: false }],
    [
      'properties that are all required',
      object({ a: text, b: { type: 'string', enum: ['x', 'y'] } }),
    ],
    ['objects within', object({ a: { type: 'array', items: object({ b: text }) } })],
    ['alternatives', object({ a: { anyOf: [{ type: 'null' }, object({ b: text })] } })],
    ['references', object({ a: { $ref: '#/$defs/b' } }, { $defs: { b: object({ c: text }) } })],
    ['properties called like keywords', object({ type: text, properties: text, default: text })],
  ])('should take %s', (_, schema) => {
    expect(isStrictSchema(schema)).toBe(true);
  });

  const optional = object({ b: text }, { required: [] });

  it.each<[string, Record<string, unknown>]>([
    ['an optional property', optional],
    ['no list of what is required', object({ a: text }, { required: undefined })],
    ['other properties', object({}, { additionalProperties: undefined })],
    ['other properties of a kind', object({}, { additionalProperties: text })],
    ['an optional property within', object({ a: { type: 'array', items: optional } })],
    ['one of an alternative', object({ a: { anyOf: [{ type: 'null' }, optional] } })],
    ['one of what may be null', object({ a: { ...optional, type: ['object', 'null'] } })],
    [
      'one of what is referred to',
      object({ a: { $ref: '#/$defs/b' } }, { $defs: { b: optional } }),
    ],
    ['a keyword that OpenAI does not take', object({ a: { ...text, default: '' } })],
    ['a reference with more beside it', object({ a: { $ref: '#/$defs/b', title: 'A' } })],
    ['anything at all', object({ a: { title: 'A' } })],
    ['a list of anything', object({ a: { type: 'array' } })],
    ['a list of anything, said so', object({ a: { type: 'array', items: {} } })],
    ['no object', { type: 'array', items: text }],
    ['nothing', {}],
  ])('should not take %s', (_, schema) => {
    expect(isStrictSchema(schema)).toBe(false);
  });
});
