import {
  exportJWK,
  generateKeyPair,
  SignJWT,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
} from 'jose';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the issuer answers who asks for its keys. */
export type IssuerState = 'well' | 'failing' | 'hanging' | 'broken' | 'redirecting' | 'endless';

export interface Issuer {
  /** Where its keys are. */
  jwksUrl: string;
  /** How often it was asked for its keys. */
  requests: number;
  state: IssuerState;
  published: JWK[];
  /** Signs with keys of this name from now on; earlier ones are no longer published. */
  rotate(kid: string, alg?: string): Promise<void>;
  /** A token that is good for five minutes and names its key, unless claims or header say otherwise. */
  sign(claims?: JWTPayload, header?: Partial<JWTHeaderParameters>): Promise<string>;
  close(): Promise<void>;
}

export const ISSUER = 'https://login.example/tenant';
export const AUDIENCE = 'sluice';

/** Somebody who issues JSON Web Tokens and publishes the keys to verify them with. */
export async function startIssuer(): Promise<Issuer> {
  let key: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
  let standardHeader: { kid: string; alg: string };
  const server = createServer((_request, response) => {
    issuer.requests += 1;
    answer(issuer.state, issuer.published, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const issuer: Issuer = {
    jwksUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`,
    requests: 0,
    state: 'well',
    published: [],
    async rotate(kid, alg = 'ES256') {
      const pair = await generateKeyPair(alg, { extractable: true });
      key = pair.privateKey;
      standardHeader = { kid, alg };
      issuer.published = [{ ...(await exportJWK(pair.publicKey)), ...standardHeader, use: 'sig' }];
    },
    sign(claims = {}, header = {}) {
      const now = Math.floor(Date.now() / 1000);
      const standard = { iss: ISSUER, aud: AUDIENCE, sub: 'ann', iat: now, exp: now + 300 };
      return new SignJWT({ ...standard, ...claims })
        .setProtectedHeader({ ...standardHeader, ...header })
        .sign(key);
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  await issuer.rotate('first');
  return issuer;
}

function answer(state: IssuerState, keys: JWK[], response: ServerResponse) {
  switch (state) {
    case 'well':
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys }));
      return;
    case 'failing':
      response.writeHead(500).end('{"keys":[]}');
      return;
    case 'broken':
      response.end('<html>');
      return;
    case 'redirecting':
      response.writeHead(302, { location: '/elsewhere.json' }).end();
      return;
    case 'endless':
      response.write('{"keys":[');
      for (let block = 0; block < 64; block += 1) response.write(' '.repeat(65_536));
      return;
    case 'hanging':
  }
}
