import { decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from 'jose';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { JwtSettings } from '../../config/file/jwt.schema.js';
import { limitsSchema } from '../../config/file/limits.schema.js';
import { ChatError } from '../../errors/chat-error.js';
import type { HttpClient } from '../../providers/http/http-client.js';
import type { Caller } from '../caller.js';
import { KeySet } from './key-set.js';

/** None whose key could both sign and verify: those are for two who share a secret. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

const MAX_OWNER_LENGTH = 256;

/** Three parts of base64url with dots between them. */
const FORM = /^[\w-]+\.[\w-]+\.[\w-]+$/;

const ownerClaim = z.string().min(1).max(MAX_OWNER_LENGTH);

/** A list, or names with spaces between them as in `scope`. */
const modelsClaim = z.union([
  z.array(z.string()),
  z.string().transform((names) => names.split(' ').filter((name) => name !== '')),
]);

/** JSON Web Tokens of one issuer, as the file's `jwt` describes them. */
export class JsonWebTokens {
  /** Says whose tokens are taken, for whom they are, and what for. */
  readonly credential: string;
  private readonly keys: KeySet;
  private readonly expected: JWTVerifyOptions;

  constructor(
    private readonly settings: JwtSettings,
    http: Pick<HttpClient, 'request'>,
  ) {
    const { issuer, audience, clockToleranceSeconds, jwksUrl, claims, models } = settings;
    this.credential = createHash('sha256')
      .update(JSON.stringify([issuer, audience, jwksUrl, claims.owner, claims.models, models]))
      .digest('base64url');
    this.keys = new KeySet(jwksUrl, http);
    this.expected = {
      issuer,
      audience,
      algorithms: ALGORITHMS,
      clockTolerance: clockToleranceSeconds,
      requiredClaims: ['exp'],
    };
  }

  /** Whether a text can be a token at all. */
  static suits(text: string): boolean {
    return FORM.test(text);
  }

  /**
   * @throws {ChatError} `invalid_api_key`; `permission_denied` when a claim is not what it should be;
   *   `store_unavailable` when it can't be told now
   */
  async verify(token: string): Promise<Caller> {
    try {
      // Others' tokens are no reason to ask for keys.
      if (decodeJwt(token).iss !== this.settings.issuer)
        throw new errors.JWTInvalid('other issuer');
      return this.callerOf(await this.payloadOf(token));
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      throw new ChatError('invalid_api_key', `The token is not valid: ${error.message}.`);
    }
  }

  /**
   * @throws {JOSEError} when the token is not valid
   * @throws {ChatError} `store_unavailable` when that can't be told now
   */
  private async payloadOf(token: string): Promise<JWTPayload> {
    try {
      return (await jwtVerify(token, this.keys.find, this.expected)).payload;
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return this.payloadByAny(error, token);
      if (error instanceof errors.JOSEError || error instanceof ChatError) throw error;
      const message = `The key that the token is signed with can't be used: ${(error as Error).message}.`;
      throw new ChatError('store_unavailable', message);
    }
  }

  /**
   * A token need not name its key: https://www.rfc-editor.org/rfc/rfc7515#section-4.1.4
   * @throws {JOSEError} when the token is not valid
   */
  private async payloadByAny(keys: AsyncIterable<CryptoKey>, token: string): Promise<JWTPayload> {
    for await (const key of keys) {
      try {
        return (await jwtVerify(token, key, this.expected)).payload;
      } catch (error) {
        const isSigned = !(error instanceof errors.JWSSignatureVerificationFailed);
        // What is no error of a token is one of a key that can't be used.
        if (isSigned && error instanceof errors.JOSEError) throw error;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }

  private callerOf(payload: JWTPayload): Caller {
    const { issuer, claims, models, limits } = this.settings;
    const name = read(payload, claims.owner, ownerClaim);
    if (name === undefined) throw misfit(claims.owner);
    return {
      owner: `token:${JSON.stringify([issuer, name])}`,
      name,
      source: 'token',
      credential: this.credential,
      models: read(payload, claims.models, modelsClaim) ?? models,
      limits: read(payload, claims.limits, limitsSchema) ?? limits,
    };
  }
}

/**
 * @returns nothing when the token has no such claim
 * @throws {ChatError} `permission_denied`: what can't be understood must not mean "everything"
 */
function read<T>(payload: JWTPayload, claim: string | undefined, schema: z.ZodType<T>) {
  const value = claim === undefined ? undefined : payload[claim];
  if (value === undefined) return undefined;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw misfit(claim!);
}

function misfit(claim: string): ChatError {
  const message = `The token's claim ${JSON.stringify(claim)} is not what this server expects.`;
  return new ChatError('permission_denied', message);
}
