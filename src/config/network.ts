import { isIP } from 'node:net';
import { z } from 'zod';

/** Names that Express has for networks. */
const NETWORKS = new Set(['loopback', 'linklocal', 'uniquelocal']);

function listOf(isItem: (item: string) => boolean, error: string) {
  return z
    .string()
    .transform((list) => list.split(',').map((item) => item.trim()))
    .refine((list) => list.every(isItem), { error });
}

/** The pages that may call from a browser, by their origins; `*` for all. */
export const originList = listOf(
  (origin) => origin === '*' || (URL.canParse(origin) && new URL(origin).origin === origin),
  'expected origins such as https://example.com, or *',
);

const EXPECTED_PROXIES =
  'expected off, a number of proxies, or addresses, networks, loopback, linklocal or uniquelocal';

/**
 * Whose `X-Forwarded-For` is believed: proxies by address or network, or how many there are, in the
 * form that Express takes.
 */
export const trustedProxies = z.union([
  z.literal('off').transform(() => false as const),
  z
    .string()
    .regex(/^[1-9]\d?$/)
    .transform(Number),
  // The union fails with what its last member says.
  listOf((item) => NETWORKS.has(item) || isNetwork(item), EXPECTED_PROXIES),
]);

/** What the client takes: it throws of anything else, and names no variable. */
export const redisUrl = z
  .url({ protocol: /^rediss?$/, error: 'expected a redis or rediss URL', abort: true })
  .refine(isOfRedis, {
    error: 'expected redis://user:password@host:port/number, with % only as in %40',
  });

function isOfRedis(url: string): boolean {
  const { hostname, username, password, pathname } = new URL(url);
  return (
    hostname !== '' && isEncoded(username) && isEncoded(password) && /^(\/\d*)?$/.test(pathname)
  );
}

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
  );
}
