import { SilentServer } from '../support/silent-server.js';
import { trustToo } from '../support/trust.js';
import { startUpstream } from '../support/upstream/index.js';
import { startTlsUpstreams } from '../support/upstream/tls.js';

/** Where connections fail, each in its own way, and one behind TLS where they don't. */
export interface Addresses {
  urls: Record<string, string>;
  /** Requests that are not over, and connections to the silent one. */
  countOpen(): number;
  close(): Promise<void>;
}

/** Starts what is needed, and makes this process trust the authority that vouches for it. */
export async function startAddresses(): Promise<Addresses> {
  const plain = await startUpstream();
  const closed = await startUpstream();
  const silent = await new SilentServer().listen();
  const secure = await startTlsUpstreams();
  const trust = trustToo(secure.authority);
  const { upstreams } = secure;
  const urls = {
    refused: closed.url,
    // A label this long is no name: nothing is asked of the network.
    'unknown-host': `http://${'a'.repeat(64)}.invalid`,
    'no-tls': plain.url.replace('http:', 'https:'),
    'tls-silent': silent.url,
    'tls-good': upstreams.good.url,
    'tls-expired': upstreams.expired.url,
    'tls-other-host': upstreams['other-host'].url,
    'tls-stranger': upstreams.stranger.url,
  };
  await closed.close();
  return {
    urls,
    countOpen: () => {
      const counts = [plain, ...Object.values(upstreams)].map(({ openSockets }) => openSockets);
      return counts.reduce((sum, count) => sum + count, silent.sockets.size);
    },
    close: async () => {
      trust.mockRestore();
      silent.close();
      await Promise.all([plain.close(), secure.close()]);
    },
  };
}
