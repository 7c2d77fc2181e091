import { createAuthority, createCertificate, type CertificateOptions } from './certificates.js';
import { startUpstream, type Upstream } from './index.js';

const CERTIFICATES = {
  good: {},
  expired: { isExpired: true },
  'other-host': { host: 'upstream.invalid' },
  stranger: {},
} satisfies Record<string, CertificateOptions>;

export type CertificateName = keyof typeof CERTIFICATES;

/** The scripted upstream behind TLS, once with each certificate. */
export interface TlsUpstreams {
  /** Who vouches for all but the stranger, in PEM; nobody trusts it yet. */
  authority: string;
  upstreams: Record<CertificateName, Upstream>;
  close(): Promise<void>;
}

/** @param firstPort the others follow; 0 for any that are free */
export async function startTlsUpstreams(firstPort = 0): Promise<TlsUpstreams> {
  const authority = await createAuthority();
  const other = await createAuthority('Somebody else');
  const entries = Object.entries(CERTIFICATES).map(async ([name, options], index) => {
    const tls = await createCertificate(name === 'stranger' ? other : authority, options);
    return [name, await startUpstream({ tls, port: firstPort && firstPort + index })] as const;
  });
  const started = await Promise.all(entries);
  return {
    authority: authority.cert,
    upstreams: Object.fromEntries(started) as TlsUpstreams['upstreams'],
    close: async () => {
      await Promise.all(started.map(([, upstream]) => upstream.close()));
    },
  };
}
