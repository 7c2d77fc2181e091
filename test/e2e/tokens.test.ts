import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { generateKeyPair, SignJWT, UnsecuredJWT, type JWTPayload } from 'jose';
import { startApp, type RunningApp } from '../support/app.js';
import { createConfigFile, type TestConfigFile } from '../support/config-file.js';
import { open } from '../support/http.js';
import { AUDIENCE, ISSUER, startIssuer, type Issuer } from '../support/issuer.js';
import { answerOf, ask, runIdOf, stateOf } from '../support/runs.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

let upstream: Upstream;
let issuer: Issuer;
let file: TestConfigFile;
let server: RunningApp;

const configOf = (jwksUrl: string) => `
models:
  fast: { targets: [openai/text] }
keys:
  - { name: ann, key: sk-ann }
jwt:
  issuer: ${ISSUER}
  audience: [${AUDIENCE}, other-name-of-sluice]
  jwks_url: ${jwksUrl}
  claims: { models: llm_models, limits: llm_limits }
  models: [fast, text]
`;

beforeAll(async () => {
  upstream = await startUpstream();
});
beforeEach(async () => {
  issuer = await startIssuer();
  file = await createConfigFile(configOf(issuer.jwksUrl));
  server = await startApp({
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    HOST: '0.0.0.0',
    CONFIG_FILE: file.path,
  });
});
afterEach(async () => {
  await server.close();
  await issuer.close();
  await file.remove();
  upstream.reset();
});
afterAll(() => upstream.close());

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** What becomes of a request with this token. */
async function call(token: string, path = '/v1/models') {
  const { status, headers, body } = await answerOf(
    open({ port: server.port, path, headers: bearer(token) }),
  );
  return { status, headers, error: body.error, names: namesOf(body) };
}

function namesOf(body: unknown): string[] | undefined {
  return (body as { data?: { id: string }[] }).data?.map(({ id }) => id);
}

const secondsFromNow = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

describe('a token', () => {
  it.each(['authorization', 'api-key', 'x-api-key'])('lets in by %s', async (header) => {
    const token = await issuer.sign();
    const value = header === 'authorization' ? `Bearer ${token}` : token;
    const { status } = await answerOf(ask(server.port, 'text', { headers: { [header]: value } }));
    expect(status).toBe(200);
  });

  it.each(['RS256', 'PS512', 'ES384', 'EdDSA'])('can be signed with %s', async (alg) => {
    await issuer.rotate(alg, alg);
    expect((await call(await issuer.sign())).status).toBe(200);
  });

  it.each([
    ['of another issuer', { iss: 'https://evil.example' }],
    ['for somebody else', { aud: 'another-service' }],
    ['for nobody', { aud: undefined }],
    ['that has expired', { exp: secondsFromNow(-40) }],
    ['that never expires', { exp: undefined }],
    ['that is not good yet', { nbf: secondsFromNow(60) }],
  ])('%s is refused', async (_, claims) => {
    const { status, error, headers } = await call(await issuer.sign(claims));
    expect([status, error.code]).toEqual([401, 'invalid_api_key']);
    expect(error.message).toMatch(/^The token is not valid: /);
    expect(headers['www-authenticate']).toBe('Bearer');
    expect(headers['x-should-retry']).toBe('false');
  });

  it('may be a few seconds off', async () => {
    expect((await call(await issuer.sign({ exp: secondsFromNow(-20) }))).status).toBe(200);
    expect((await call(await issuer.sign({ nbf: secondsFromNow(20) }))).status).toBe(200);
  });

  it('is refused when it is not signed, or with what it brings itself', async () => {
    const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'ann', exp: secondsFromNow(300) };
    const unsigned = new UnsecuredJWT(claims).encode();
    const published = await (await fetch(issuer.jwksUrl)).text();
    const withPublicKey = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: 'first' })
      .sign(new TextEncoder().encode(published));
    const { privateKey } = await generateKeyPair('ES256');
    const ofAnother = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: 'first' })
      .sign(privateKey);
    const tampered = (await issuer.sign()).replace(/\.[^.]*\./, `.${unsigned.split('.')[1]}.`);
    for (const token of [unsigned, withPublicKey, ofAnother, tampered, 'a.b.c']) {
      expect((await call(token)).status).toBe(401);
    }
  });

  it("costs no request for keys when it is another issuer's", async () => {
    await call(await issuer.sign({ iss: 'https://evil.example' }));
    await call('not-a-token');
    await call('sk-ann');
    expect(issuer.requests).toBe(0);
  });
});

describe('what a token starts', () => {
  const start = async (headers: Record<string, string>) => {
    const started = ask(server.port, 'text', { headers });
    await started.ended;
    return runIdOf(started);
  };

  it('belongs to its issuer and subject, whichever token they come with', async () => {
    const id = await start(bearer(await issuer.sign()));
    const statusFor = async (token: string) =>
      (await stateOf(server.port, id, bearer(token))).status;
    expect(await statusFor(await issuer.sign({ jti: 'another' }))).toBe(200);
    expect(await statusFor(await issuer.sign({ sub: 'bob' }))).toBe(404);
    // The key's name is the token's subject.
    expect(await statusFor('sk-ann')).toBe(404);
  });

  it('is not for a token whose subject is called like a key and its kind', async () => {
    const id = await start(bearer('sk-ann'));
    for (const sub of ['ann', 'key:ann', `token:["${ISSUER}","ann"]`]) {
      const { status } = await stateOf(server.port, id, bearer(await issuer.sign({ sub })));
      expect(status).toBe(404);
    }
  });

  it.each([undefined, '', 7, ['ann'], 'a'.repeat(257)])(
    'would be nobody’s with the subject %j',
    async (sub) => {
      const { status, error } = await call(await issuer.sign({ sub } as JWTPayload));
      expect([status, error.code]).toEqual([403, 'permission_denied']);
    },
  );
});

describe('a reload of the file', () => {
  const started = async () => {
    const headers = bearer(await issuer.sign({ llm_models: ['stall'] }));
    const stream = ask(server.port, 'stall', { headers });
    await stream.until('data: {"content"');
    return stream;
  };

  it.each([
    ['their models', (config: string) => config.replace('[fast, text]', '[fast]')],
    ['the claim of their models', (config: string) => config.replace('llm_models', 'models')],
    [
      'the claim of their owner',
      (config: string) => config.replace('{ models', '{ owner: id, models'),
    ],
    ['for whom they are', (config: string) => config.replace(', other-name-of-sluice', '')],
    ['who issues them', (config: string) => config.replace(ISSUER, 'https://login.example/other')],
    ['where their keys are', (config: string) => config.replace('jwks.json', 'others.json')],
  ])('that changes %s ends what tokens have started', async (_, change) => {
    const stream = await started();
    await file.reload(change(configOf(issuer.jwksUrl)), server);
    expect(await stream.ended).toBe('complete');
    expect(stream.text()).toMatch(/event: error\n.*\ndata: \{"code":"permission_denied"/);
    await upstream.requests[0]!.closed;
  });

  it('that changes their limits ends nothing', async () => {
    const stream = await started();
    const limits = '  limits: { requests_per_minute: 5 }\n';
    await file.reload(configOf(issuer.jwksUrl) + limits, server);
    expect((await call(await issuer.sign())).status).toBe(200);
    expect(stream.text()).not.toContain('event: error');
    stream.destroy();
  });
});

describe('the models of a token', () => {
  it('are those of its claim, in place of the default ones', async () => {
    expect((await call(await issuer.sign())).names).toEqual(['fast']);
    const some = await issuer.sign({ llm_models: ['openai/*'] });
    expect((await call(some)).names).toEqual(['openai/gpt-4o-mini']);
    const spaced = await issuer.sign({ llm_models: 'fast openai' });
    expect((await call(spaced)).names).toEqual(['fast', 'openai']);
    expect((await call(await issuer.sign({ llm_models: [] }))).names).toEqual([]);
    const { status } = await answerOf(ask(server.port, 'text', { headers: bearer(some) }));
    expect(status).toBe(403);
  });

  it.each([
    { llm_models: { all: true } },
    { llm_models: [1] },
    { llm_models: null },
    { llm_limits: 'none' },
    { llm_limits: { requests_per_minute: '60' } },
    { llm_limits: { unheard_of: 1 } },
  ])('are not all when a claim can’t be understood: %j', async (claims) => {
    const { status, error } = await call(await issuer.sign(claims));
    expect([status, error.code]).toEqual([403, 'permission_denied']);
    expect(error.message).toContain(`"${Object.keys(claims)[0]}"`);
  });
});

describe('the keys of an issuer', () => {
  /** A modulus of 1024 bits, which is too little. */
  const SHORT = Buffer.alloc(128, 0xff).toString('base64url');

  it('are fetched once for many tokens', async () => {
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, index) => issuer.sign({ sub: `user-${index}` })),
    );
    const answers = await Promise.all(tokens.map((token) => call(token)));
    expect(answers.map(({ status }) => status)).toEqual(tokens.map(() => 200));
    expect(issuer.requests).toBe(1);
  });

  it('are rotated without a restart', async () => {
    const old = await issuer.sign();
    expect((await call(old)).status).toBe(200);
    await issuer.rotate('second');
    await sleepOutCooldown();
    expect((await call(await issuer.sign())).status).toBe(200);
    // A key that is no longer published is none.
    expect((await call(old)).status).toBe(401);
    expect(issuer.requests).toBe(2);
  });

  it('can be several of one kind, and a token that names none is signed with any of them', async () => {
    const nameless = { kid: undefined };
    await issuer.rotate('first', 'RS256');
    const old = await issuer.sign({}, nameless);
    const [first] = issuer.published;
    await issuer.rotate('second', 'RS256');
    issuer.published.unshift({ ...first!, kid: 'short', n: SHORT }, first!);
    expect((await call(await issuer.sign({}, nameless))).status).toBe(200);
    expect((await call(old)).status).toBe(200);
    const expired = await call(await issuer.sign({ exp: secondsFromNow(-40) }, nameless));
    expect(expired.status).toBe(401);
    expect(expired.error.message).toContain('"exp"');
    const { privateKey } = await generateKeyPair('RS256');
    const strange = await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'ann' })
      .setProtectedHeader({ alg: 'RS256' })
      .setExpirationTime('5m')
      .sign(privateKey);
    expect((await call(strange)).status).toBe(401);
  });

  it.each([
    ['too short', 'RS256', { n: SHORT }],
    ['broken', 'ES256', { x: 'AQAB' }],
  ])('that can’t be used, as they are %s, make no token a wrong one', async (_, alg, change) => {
    await issuer.rotate('unusable', alg);
    Object.assign(issuer.published[0]!, change);
    const { status, error } = await call(await issuer.sign());
    expect([status, error.code]).toEqual([503, 'store_unavailable']);
  });

  it('are not asked for again by every token with a key that there is not', async () => {
    await call(await issuer.sign());
    await sleepOutCooldown();
    const published = issuer.requests;
    const { privateKey } = await generateKeyPair('ES256');
    for (let index = 0; index < 10; index += 1) {
      const token = await new SignJWT({ iss: ISSUER })
        .setProtectedHeader({ alg: 'ES256', kid: `made-up-${index}` })
        .sign(privateKey);
      expect((await call(token)).status).toBe(401);
    }
    expect(issuer.requests - published).toBe(1);
  });

  it.each(['failing', 'broken', 'redirecting', 'endless'] as const)(
    'that can’t be fetched, as they are %s, make no token a wrong one',
    async (state) => {
      issuer.state = state;
      const { status, headers, error } = await call(await issuer.sign());
      expect([status, error.code]).toEqual([503, 'store_unavailable']);
      expect(headers['retry-after']).toBe('2');
      // Keys are good all the while.
      expect((await call('sk-ann')).status).toBe(200);
      expect((await call('sk-bob')).status).toBe(401);
      expect(issuer.requests).toBe(1);
      issuer.state = 'well';
      await sleepOutCooldown();
      expect((await call(await issuer.sign())).status).toBe(200);
    },
  );

  it('are waited for no longer than five seconds', async () => {
    issuer.state = 'hanging';
    const startedAt = performance.now();
    const token = await issuer.sign();
    const answers = await Promise.all([call(token), call(token)]);
    expect(answers.map(({ status }) => status)).toEqual([503, 503]);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(issuer.requests).toBe(1);
  });

  it('that are known are good while their issuer is away; whether there are others is not', async () => {
    const token = await issuer.sign();
    expect((await call(token)).status).toBe(200);
    issuer.state = 'failing';
    await issuer.rotate('second');
    await sleepOutCooldown();
    expect((await call(await issuer.sign())).status).toBe(503);
    expect((await call(token)).status).toBe(200);
  });
});

/** Of requests for keys. */
function sleepOutCooldown(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2_100));
}
