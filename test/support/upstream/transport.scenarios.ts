import { speak, text } from './answers.scenarios.js';
import type { Exchange, Scenario } from './exchange.js';

const DRIP_MS = 50;

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n';

/** Never returns: the client has to leave. */
async function headersWithoutEnd(x: Exchange, header: string, ms: number): Promise<void> {
  await x.beneath(HEAD);
  for (;;) {
    if (ms > 0) await x.sleep(ms);
    await x.beneath(header);
  }
}

/** Only a connection that had a request before is closed under this one. */
function stale(close: (exchange: Exchange) => void): Scenario {
  return (exchange) => (exchange.request.reusesSocket ? close(exchange) : text(exchange));
}

/** What goes wrong beneath the answer: in HTTP itself and on its connection. */
export const transports: Record<string, Scenario> = {
  'rst-first': (x) => x.rst(),
  'fin-first': (x) => x.fin(),
  'stale-rst': stale((x) => x.rst()),
  'stale-fin': stale((x) => x.fin()),

  'not-http': async (x) => {
    await x.beneath('SSH-2.0-OpenSSH_9.9\r\n');
    x.fin();
  },
  'early-hints': async (x) => {
    x.res.writeEarlyHints({ link: '</a.css>; rel=preload' });
    await text(x);
  },
  upgrade: (x) =>
    x.beneath('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
  'endless-headers': (x) => headersWithoutEnd(x, `x-filler: ${'x'.repeat(4096)}\r\n`, 0),
  'slow-headers': (x) => headersWithoutEnd(x, 'x-filler: x\r\n', DRIP_MS),

  'close-delimited': async (x) => {
    x.res.useChunkedEncodingByDefault = false;
    await text(x);
  },
  'long-length': async (x) => {
    x.head(200, { 'content-length': '1000000' });
    await speak(x);
    x.fin();
  },
  'bad-chunk': async (x) => {
    await speak(x, x.options.after ?? 3);
    await x.beneath('no hex\r\n');
  },
};
