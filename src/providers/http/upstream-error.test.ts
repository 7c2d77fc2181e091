import { describe, expect, it } from '@jest/globals';
import { refusalFields, refused } from './upstream-error.js';

describe(refusalFields.name, () => {
  it.each<[string, string, object | undefined]>([
    ['in a list, as Google has it', '[{"error":{"message":"no"}}]', { message: 'no' }],
    ['beside a flag', '{"error":true,"message":"no"}', { message: 'no' }],
    [
      'with a number for its code',
      '{"message":"no","type":"t","code":400}',
      { message: 'no', type: 't' },
    ],
    ['with an endless code', `{"message":"no","code":"${'x'.repeat(201)}"}`, { message: 'no' }],
    ['nested deeply', `{"detail":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, {}],
    ['that is no object', '["no"]', undefined],
    ['that is no JSON', 'no', undefined],
  ])('should read a refusal %s', (_, body, expected) => {
    expect(refusalFields(body)).toEqual(expected);
  });
});

describe(refused.name, () => {
  it('should repeat the key nowhere', () => {
    const key = 'sk-secret';
    const said = `not for ${key}`;
    const fields = { message: said, type: said, code: said, param: said };
    const { body } = refused({ status: 400, header: () => undefined, key, ...fields });
    const without = 'not for ***';
    expect(body).toEqual({ message: without, type: without, code: without, param: without });
  });
});
