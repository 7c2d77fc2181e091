import { speak, wholeText } from './answers.scenarios.js';
import { keyOf, type Exchange, type Scenario } from './exchange.js';

const ENDLESS_BYTES = 64 * 1024 * 1024;

/** Long enough for a client on the same machine to have read what an RST would else discard. */
const SETTLE_MS = 20;

const PING_MS = 50;

async function speakSome(exchange: Exchange): Promise<void> {
  await speak(exchange, exchange.options.after ?? 3);
}

const overloaded = { message: 'The engine is overloaded.', code: 'overloaded' };

/** Life without content, for ever: comments, or in Ollama's case blank lines. */
async function ping(x: Exchange): Promise<void> {
  for (;;) {
    await x.sleep(PING_MS);
    x.raw(x.protocol === 'ollama' ? '\n' : ': ping\n\n');
  }
}

async function sayNothing(x: Exchange): Promise<void> {
  for (;;) {
    await x.sleep(PING_MS);
    x.text('');
  }
}

/** `text` by a model called `cut`, so that its bytes stay in place, up to the option `bytes`. */
function cutAt(end: (exchange: Exchange) => void): Scenario {
  return async (x) => {
    x.wire.model = 'cut';
    x.raw(wholeText(x).subarray(0, x.options.bytes ?? 0));
    await x.sleep(SETTLE_MS);
    end(x);
  };
}

/** Silences, cut connections and broken streams. */
export const faults: Record<string, Scenario> = {
  'wait-headers': () => {},
  'wait-first': (x) => x.role(),
  stall: speakSome,

  'ping-first': async (x) => {
    x.role();
    await ping(x);
  },
  'ping-mid': async (x) => {
    await speakSome(x);
    await ping(x);
  },
  'empty-first': async (x) => {
    x.role();
    await sayNothing(x);
  },
  'empty-mid': async (x) => {
    await speakSome(x);
    await sayNothing(x);
  },
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
  'rst-at': cutAt((x) => x.rst()),
  'fin-at': cutAt((x) => x.fin()),
  'eof-at': cutAt((x) => x.end()),
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
  'done-then-more': async (x) => {
    await speak(x);
    x.finish();
    x.usage();
    x.done();
    x.text('never seen');
    x.errorChunk();
    x.done();
    x.end();
  },
  'done-then-flood': async (x) => {
    await speak(x);
    x.finish();
    x.usage();
    x.done();
    for (;;) {
      await x.drained();
      x.text('never seen');
    }
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
  'error-key': (x) => {
    x.errorChunk({ message: `No such key: ${keyOf(x)}.` });
    x.end();
  },
  'error-mid': async (x) => {
    await speakSome(x);
    x.errorChunk(overloaded);
    x.end();
  },
  'finish-error': async (x) => {
    await speakSome(x);
    if (x.protocol === 'ollama') x.errorChunk();
    else x.complete('error');
  },
  'wrong-shape': async (x) => {
    await speakSome(x);
    x.chunk({ choices: 'none', message: 'none' });
    x.complete();
  },
  'endless-event': async (x) => {
    await speakSome(x);
    const lines = 'data: "x",\n'.repeat(4096);
    for (let sent = 0; sent < ENDLESS_BYTES; sent += lines.length) {
      await x.drained();
      x.raw(lines);
    }
    x.end();
  },
  'endless-line': async (x) => {
    await speakSome(x);
    const [start = ''] = x.wire.frame('{"content":"').split('\n');
    x.raw(start);
    const block = Buffer.alloc(64 * 1024, 'x');
    for (let sent = 0; sent < ENDLESS_BYTES; sent += block.length) {
      await x.drained();
      x.raw(block);
    }
    x.end();
  },
};
