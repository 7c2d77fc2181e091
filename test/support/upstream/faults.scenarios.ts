import { speak } from './answers.scenarios.js';
import type { Exchange, Scenario } from './exchange.js';

const ENDLESS_LINE_BYTES = 64 * 1024 * 1024;

/** Long enough for a client on the same machine to have read what an RST would else discard. */
const SETTLE_MS = 20;

async function speakSome(exchange: Exchange): Promise<void> {
  await speak(exchange, exchange.options.after ?? 3);
}

const overloaded = { message: 'The engine is overloaded.', code: 'overloaded' };

/** Silences, cut connections and broken streams. */
export const faults: Record<string, Scenario> = {
  'wait-headers': () => {},
  'wait-first': (x) => x.role(),
  stall: speakSome,

  'rst-first': (x) => x.rst(),
  'fin-first': (x) => x.fin(),
  'rst-mid': async (x) => {
    await speakSome(x);
    await x.sleep(SETTLE_MS);
    x.rst();
  },
  'fin-mid': async (x) => {
    await speakSome(x);
    x.fin();
  },
  'eof-mid': async (x) => {
    await speakSome(x);
    x.end();
  },
  'cut-line': async (x) => {
    await speakSome(x);
    const [chunk] = x.wire.delta({ content: 'never seen' }, 0);
    const frame = x.wire.frame(JSON.stringify(chunk));
    x.raw(frame.slice(0, frame.length / 2));
    x.end();
  },

  'done-without-finish': async (x) => {
    await speakSome(x);
    x.done();
    x.end();
  },
  'finish-without-done': async (x) => {
    await speak(x);
    x.finish();
    x.end();
  },
  'finish-then-rst': async (x) => {
    await speak(x);
    x.finish();
    await x.sleep(SETTLE_MS);
    x.rst();
  },
  'finish-then-hang': async (x) => {
    await speak(x);
    x.finish();
  },
  'done-then-hang': async (x) => {
    await speak(x);
    x.finish();
    x.usage();
    x.done();
  },
  'done-then-late-end': async (x) => {
    await speak(x);
    x.finish();
    x.usage();
    x.done();
    await x.sleep(SETTLE_MS);
    x.end();
  },

  malformed: async (x) => {
    await speakSome(x);
    x.chunk('{"id":"chatcmpl-broken","choices":[{"index":0,');
    await speakSome(x);
    x.complete();
  },
  'error-first': (x) => {
    x.errorChunk(overloaded);
    x.end();
  },
  'error-mid': async (x) => {
    await speakSome(x);
    x.errorChunk(overloaded);
    x.end();
  },
  'endless-line': async (x) => {
    await speakSome(x);
    const [start = ''] = x.wire.frame('{"content":"').split('\n');
    x.raw(start);
    const block = Buffer.alloc(64 * 1024, 'x');
    for (let sent = 0; sent < ENDLESS_LINE_BYTES; sent += block.length) {
      await x.drained();
      x.raw(block);
    }
    x.end();
  },
};
