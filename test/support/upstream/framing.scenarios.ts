import { text } from './answers.scenarios.js';
import type { Exchange, Scenario } from './exchange.js';

/** `text` in another, equally valid framing of SSE; Ollama, which has no SSE, plays `text`. */
function framed(frame: (json: string) => string, preamble = ''): Scenario {
  return async (exchange: Exchange) => {
    if (exchange.protocol !== 'ollama') {
      exchange.wire.frame = frame;
      exchange.raw(preamble);
    }
    await text(exchange);
  };
}

export const framings: Record<string, Scenario> = {
  'sse-crlf': framed((json) => `data: ${json}\r\n\r\n`),
  'sse-cr': framed((json) => `data: ${json}\r\r`),
  'sse-bom': framed((json) => `data: ${json}\n\n`, '\ufeff'),
  'sse-comments': framed((json) => `:\n: ping\n\nevent: message\ndata:${json}\nid: 1\n: x\n\n`),
  'sse-multiline': framed((json) => `data: ${json.replaceAll(',"', '\ndata: ,"')}\n\n`),
};
