import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { ConfigError, parseEnvironment } from './config.js';
import { ConfigDocument } from './file/config-document.js';
import { fileSchema } from './file/file.schema.js';
import { apiKeysOf, flawsOfKeys } from './file/keys.schema.js';

const sha256 = (text: string) => createHash('sha256').update(text).digest();
const HEX = sha256('sk-web').toString('hex');

const digests = (list: string) =>
  parseEnvironment({ API_KEYS: list }).API_KEYS.map(({ name, digest }) => [
    name,
    digest.toString('hex'),
  ]);

describe('API_KEYS', () => {
  const bySecret = (name: string, key: string) => [name, sha256(key).toString('hex')];

  it.each([
    ['web:sk-web', [bySecret('web', 'sk-web')]],
    [' web:sk-web , ci:sk-ci,', [bySecret('web', 'sk-web'), bySecret('ci', 'sk-ci')]],
    [`web:sha256:${HEX},ci:sk-ci`, [bySecret('web', 'sk-web'), bySecret('ci', 'sk-ci')]],
    [`web:SHA256:${HEX.toUpperCase()}`, [bySecret('web', 'sk-web')]],
    ['sk-web', [bySecret('key-1', 'sk-web')]],
    [`sk-a,sha256:${HEX}`, [bySecret('key-1', 'sk-a'), bySecret('key-2', 'sk-web')]],
    ['web:sk:with:colons', [bySecret('web', 'sk:with:colons')]],
    ['web:old,web:new', [bySecret('web', 'old'), bySecret('web', 'new')]],
    ['', []],
  ])('reads %s', (list, keys) => {
    expect(digests(list)).toEqual(keys);
  });

  it.each([
    ['a digest that is too short', 'web:sha256:secretabc'],
    ['a digest of something else than hexadecimal digits', `web:sha256:${'secret00'.repeat(8)}`],
    ['a nameless digest that is none', 'sha256:secret'],
    ['a name without a key', 'web:'],
    ['a key that no header can carry', 'web:secret key'],
    ['a name with a space', 'my secret:sk-web'],
    ['a key of two names', 'web:secret,ci:secret'],
    ['a key beside its digest', `web:sk-web,secret:sha256:${HEX}`],
    ['a name that is too long', `${'secret'.repeat(11)}:sk-web`],
  ])('does not take %s, and does not say what it read', (_, list) => {
    const parsing = () => parseEnvironment({ API_KEYS: list });
    expect(parsing).toThrow(ConfigError);
    expect(parsing).toThrow(/API_KEYS: expected /);
    expect(parsing).not.toThrow(/secret/);
  });
});

describe('the keys of a file', () => {
  const parse = (text: string, environment: Record<string, string> = {}) => {
    const document = new ConfigDocument('sluice.yaml', text);
    const { keys } = document.parse(fileSchema, environment);
    document.expectNone(flawsOfKeys(keys, parseEnvironment({ API_KEYS: 'env:sk-env' }).API_KEYS));
    return keys.flatMap(apiKeysOf);
  };

  it('have names, models and limits; the key is there as its digest', () => {
    const text = `keys:
  - name: web
    key: \${WEB_KEY}
    models: [fast, 'gpt-*']
    limits: { requests_per_minute: 60, tokens_per_day: 3000000000 }
  - { name: ci, key: sha256:${HEX} }`;
    expect(parse(text, { WEB_KEY: 'sk-from-env' })).toEqual([
      {
        name: 'web',
        digest: sha256('sk-from-env'),
        models: ['fast', 'gpt-*'],
        limits: { requestsPerMinute: 60, tokensPerDay: 3_000_000_000 },
      },
      { name: 'ci', digest: sha256('sk-web') },
    ]);
  });

  it('can be several of one name, while one takes the place of another', () => {
    const keys = parse('keys: [{ name: web, key: [sk-old, sk-new], models: [fast] }]');
    expect(keys).toEqual([
      { name: 'web', digest: sha256('sk-old'), models: ['fast'] },
      { name: 'web', digest: sha256('sk-new'), models: ['fast'] },
    ]);
  });

  it.each([
    ['keys: [{ name: a, key: secret one }]', 'sluice.yaml:1 keys[0].key: expected a key'],
    ['keys: [{ name: a b, key: secret }]', 'sluice.yaml:1 keys[0].name: expected a name'],
    ['keys: [{ name: a }]', 'sluice.yaml:1 keys[0].key: expected a key'],
    ['keys: [{ name: a, key: [] }]', 'sluice.yaml:1 keys[0].key: expected a key'],
    ['keys: [{ name: a, key: secret, model: x }]', 'keys[0].model: is unknown here'],
    ['keys: [{ name: a, key: secret, models: x }]', 'keys[0].models: expected a list'],
    ['keys: [{ name: a, key: secret, limits: { requests_per_minute: 0 } }]', 'expected a whole'],
    ['keys: [{ name: a, key: secret, limits: { requests: 1 } }]', 'limits.requests: is unknown'],
    ['keys:\n- { name: a, key: secret }\n- { name: a, key: k2 }', '3 keys[1].name: expected'],
    ['keys:\n- { name: a, key: secret }\n- { name: b, key: secret }', '3 keys[1].key: expected'],
    ['keys: [{ name: env, key: secret }]', 'keys[0].name: expected a name that no other has'],
    ['keys: [{ name: a, key: sk-env }]', 'keys[0].key: expected a key that no other has'],
    ['keys: { web: secret }', 'keys: expected a list'],
  ])('are refused as %j, with the place and without the key', (text, message) => {
    const parsing = () => parse(text);
    expect(parsing).toThrow(message);
    expect(parsing).not.toThrow(/secret|sk-env/);
  });
});

describe('the jwt section of a file', () => {
  const parse = (text: string) => new ConfigDocument('sluice.yaml', text).parse(fileSchema, {}).jwt;
  const LEAST =
    'issuer: https://login.example, audience: sluice, jwks_url: https://login.example/j';

  it('needs an issuer, an audience and where the keys are', () => {
    expect(parse(`jwt: { ${LEAST} }`)).toEqual({
      issuer: 'https://login.example',
      audience: 'sluice',
      jwksUrl: 'https://login.example/j',
      clockToleranceSeconds: 30,
      claims: { owner: 'sub' },
    });
  });

  it.each([
    ['issuer: i, jwks_url: https://x', 'jwt.audience: expected text'],
    ['issuer: i, audience: a, jwks_url: file:///etc/passwd', 'expected an http or https URL'],
    [`${LEAST}, claims: { sub: owner }`, 'jwt.claims.sub: is unknown here'],
    [`${LEAST}, algorithms: [HS256]`, 'jwt.algorithms: is unknown here'],
    [`${LEAST}, clock_tolerance_seconds: 86400`, 'expected a whole number from 0 to 300'],
  ])('is refused as %s', (text, message) => {
    expect(() => parse(`jwt: { ${text} }`)).toThrow(message);
  });
});
