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

/**
 * Whose `X-Forwarded-For` is believed: proxies by address or network, or how many there are, in the
 * form that Express takes.
 */
export const trustedProxies = z.union(
  [
    z.literal('off').transform(() => false as const),
    z
      .string()
      .regex(/^[1-9]\d?$/)
      .transform(Number),
    listOf((item) => NETWORKS.has(item) || isNetwork(item), ''),
  ],
  {
    error:
      'expected off, a number of proxies, or addresses, networks, loopback, linklocal or uniquelocal',
  },
);

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
  );
}
