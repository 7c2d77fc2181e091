// Plain JavaScript: a worker's file is loaded by Node itself, from the sources as from the build.
import { clearMergeCache, countTokens, setMergeCacheSize } from 'gpt-tokenizer/encoding/o200k_base';
import { constants, getPriority, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';

/**
 * Streams come first: where many runs end at a time there is much to be counted. Only on Linux is the
 * priority a thread's own, elsewhere it would be the whole process's (setpriority(2), "C library/kernel
 * differences").
 */
if (process.platform === 'linux') {
  try {
    setPriority(Math.max(getPriority(), constants.priority.PRIORITY_BELOW_NORMAL));
  } catch {
    // A sandbox may forbid it. Counting at the same priority is better than not counting.
  }
}

/**
 * The tokenizer keeps so many words that are no token themselves, each with up to 13 KB: the heap is small.
 * English is counted as fast as with its default of 100,000, and code by a third slower.
 */
setMergeCacheSize(1_000);

/** The tokenizer takes quadratic time over a word without end, so it never gets a long one. */
const MAX_SLICE = 512;

/** Cut in front of a space, where tokens end anyway, the count stays exact. */
function count(text) {
  let tokens = 0;
  for (let start = 0; start < text.length;) {
    let end = start + MAX_SLICE;
    if (end < text.length) {
      const space = text.lastIndexOf(' ', end);
      if (space > start) end = space;
    }
    tokens += countTokens(text.slice(start, end), { disallowedSpecial: new Set() });
    start = end;
  }
  // What is kept of a word keeps all of the text that it is cut from.
  clearMergeCache();
  return tokens;
}

parentPort.on('message', ({ id, texts }) => {
  parentPort.postMessage({ id, counts: texts.map(count) });
});
