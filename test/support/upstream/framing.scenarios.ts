import { speak, text } from './answers.scenarios.js';
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

const COMMENTS_BYTES = 1024 * 1024;

/** Well-formed streams in which not every frame says something. */
export const framings: Record<string, Scenario> = {
  'empty-choices': async (x) => {
    for (const choices of [[], null, undefined]) x.chunk({ choices, message: null });
    await speak(x);
    for (const choices of [[], null, undefined]) x.chunk({ choices, message: null });
    x.complete();
  },
  'comment-flood': async (x) => {
    const line = x.protocol === 'ollama' ? '\n' : `: ${'x'.repeat(60)}\n\n`;
    const block = line.repeat(64);
    for (let sent = 0; sent < (x.options.bytes ?? COMMENTS_BYTES); sent += block.length) {
      await x.drained();
      x.raw(block);
    }
    await text(x);
  },
  'sse-crlf': framed((json) => `data: ${json}\r\n\r\n`),
  'sse-cr': framed((json) => `data: ${json}\r\r`),
  'sse-bom': framed((json) => `data: ${json}\n\n`, '\ufeff'),
  'sse-comments': framed((json) => `:\n: ping\n\nevent: message\ndata:${json}\nid: 1\n: x\n\n`),
  'sse-multiline': framed((json) => `data: ${json.replaceAll(',"', '\ndata: ,"')}\n\n`),
};
