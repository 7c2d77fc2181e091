import { generate } from 'selfsigned';

/** A certificate and its key, in PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

const DAY_MS = 86_400_000;

/** An authority that nobody trusts who was not told to. */
export function createAuthority(name = 'Scripted authority'): Promise<Certificate> {
  return certify(name, {
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
}

export interface CertificateOptions {
  /** The name it is for. */
  host?: string;
  isExpired?: boolean;
}

/** A server's certificate that the authority vouches for. */
export function createCertificate(
  authority: Certificate,
  { host, isExpired = false }: CertificateOptions = {},
): Promise<Certificate> {
  const until = Date.now() + (isExpired ? -DAY_MS : DAY_MS);
  const name =
    host === undefined
      ? ({ type: 7, ip: '127.0.0.1' } as const)
      : ({ type: 2, value: host } as const);
  return certify(host ?? '127.0.0.1', {
    ca: authority,
    notBeforeDate: new Date(until - 7 * DAY_MS),
    notAfterDate: new Date(until),
    extensions: [{ name: 'subjectAltName', altNames: [name] }],
  });
}

async function certify(
  name: string,
  options: Parameters<typeof generate>[1],
): Promise<Certificate> {
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    ...options,
  });
  return { cert: made.cert, key: made.private };
}
