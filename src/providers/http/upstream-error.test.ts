import { describe, expect, it } from '@jest/globals';
import { refusalFields, refused, reported } from './upstream-error.js';

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

describe(reported.name, () => {
  it.each([
    ['a number', { code: 400 }, 'provider_rejected', 400],
    ['a number as a text', { code: '429' }, 'provider_rate_limited', 429],
    ['its status', { status: 413 }, 'provider_rejected', 413],
    ['a code of OpenAI', { code: 'context_length_exceeded' }, 'provider_rejected', 400],
    ['a type of OpenAI', { type: 'invalid_request_error' }, 'provider_rejected', 400],
    [
      'a number rather than a type',
      { code: 401, type: 'invalid_request_error' },
      'provider_auth',
      502,
    ],
    ['a status of 5xx', { code: 503, type: 'invalid_request_error' }, 'provider_error', 502],
    ['a time-out', { code: 408 }, 'provider_error', 502],
    ['no status', { code: 7, type: 'server_error' }, 'provider_error', 502],
  ])('should be what %s says', (_, error, code, status) => {
    expect(reported(JSON.stringify({ error }))).toMatchObject({ code, status });
  });

  it('should have the words and the fields of a refusal', () => {
    const fields = { message: 'Too long.', type: 'BadRequestError', param: 'messages' };
    const { body } = reported(JSON.stringify({ error: { ...fields, code: 400 } }));
    expect(body).toEqual({ ...fields, code: 'provider_rejected' });
  });
});
