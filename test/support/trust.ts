import { jest } from '@jest/globals';
import tls from 'node:tls';

/**
 * Makes this process trust an authority too: what `NODE_EXTRA_CA_CERTS` is for one that starts. Until it
 * is restored.
 */
export function trustToo(authority: string) {
  const create = tls.createSecureContext.bind(tls);
  return jest
    .spyOn(tls, 'createSecureContext')
    .mockImplementation((options) =>
      create({ ...options, ...(!options?.cert && { ca: [...tls.rootCertificates, authority] }) }),
    );
}
