import { describe, expect, it } from '@jest/globals';
import { sampleCall } from './sample-call.js';

function argumentsFor(parameters: unknown): unknown {
  const { arguments: json } = sampleCall([
    { type: 'function', function: { name: 'f', parameters } },
  ]);
  return JSON.parse(json);
}

describe(sampleCall.name, () => {
  it("calls the first of the request's tools", () => {
    const tools = ['first', 'second'].map((name) => ({ type: 'function', function: { name } }));
    expect(sampleCall(tools)).toEqual({ name: 'first', arguments: '{}' });
  });

  it.each([[undefined], [[]], [[{ type: 'custom', custom: { name: 'c' } }]], ['tools']])(
    'asks for the weather with the tools %j',
    (tools) => {
      expect(sampleCall(tools)).toEqual({ name: 'get_weather', arguments: '{"city":"Tokyo"}' });
    },
  );

  it('gives every required property a value of its type', () => {
    const properties = {
      city: { type: 'string' },
      unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
      days: { type: 'integer', minimum: 3 },
      exact: { type: ['boolean', 'null'] },
      tags: { type: 'array', items: { type: 'string' } },
      place: { type: 'object', properties: { lat: { type: 'number' } }, required: ['lat'] },
      note: { type: 'string', default: 'none' },
      optional: { type: 'string' },
    };
    const required = ['city', 'unit', 'days', 'exact', 'tags', 'place', 'note', 'undescribed'];
    expect(argumentsFor({ type: 'object', properties, required })).toEqual({
      city: 'some city',
      unit: 'celsius',
      days: 3,
      exact: true,
      tags: ['some tags'],
      place: { lat: 1 },
      note: 'none',
      undescribed: 'some undescribed',
    });
  });

  it('bears a schema that is none', () => {
    expect(argumentsFor({ properties: { a: true }, required: ['a'] })).toEqual({ a: 'some a' });
    expect(argumentsFor('schema')).toEqual({});
  });
});
