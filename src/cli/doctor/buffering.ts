import { CannotTest, round, time, type Finding } from './finding.js';
import { flowOf, type Flow } from './flow.js';
import type { ProbePlan, Recording } from './recording.js';

/** About the size and the pace of what a fast model streams. */
export const TOKENS: ProbePlan = { every_ms: 40, for_ms: 3_000, bytes: 200 };

/** What looks at the pace of tokens. */
export interface TokenProbes {
  tokens: Recording;
  /** The same without a word to proxies that they should not buffer. */
  unhinted: Recording;
  /** The same without leave to compress, where something did. */
  plain?: Recording;
}

/** @throws {CannotTest} when a probe showed nothing */
export function bufferingFindings({ tokens, unhinted, plain }: TokenProbes): Finding[] {
  const flow = shown(tokens);
  const isEndless = isHeldToTheEnd(tokens, flow);
  const size = `${isEndless ? 'at least ' : ''}${flow.heldBytes.toLocaleString('en')} bytes`;
  const measured = {
    held_median_ms: round(flow.medianHeldMs),
    held_longest_ms: round(flow.longestHeldMs),
    held_bytes: flow.heldBytes,
    together: round(flow.together),
    by_default: null as boolean | null,
  };
  const finding = { id: 'buffering', measured } as const;
  const compression = compressionFinding(tokens, plain);
  const others = [ttftFinding(tokens), gapsFinding(flow)];

  if (isHeld(flow)) {
    const until = isEndless ? 'until the answer is over' : `for up to ${time(flow.longestHeldMs)}`;
    const summary = `Something holds tokens back ${until}, ${size} at a time: they come in bursts.`;
    return [...others, { ...finding, verdict: 'problem', summary }, compression];
  }
  measured.by_default = isHeld(shown(unhinted));
  if (measured.by_default) {
    const summary =
      'A proxy buffers by default and only lets this stream through because Sluice asks it to, with X-Accel-Buffering: no. A second proxy in front of it would not see that.';
    return [...others, { ...finding, verdict: 'warning', summary }, compression];
  }
  if (flow.together > 0.3) {
    const summary = `Tokens come in small bunches, held for up to ${time(flow.longestHeldMs)}.`;
    return [...others, { ...finding, verdict: 'warning', summary }, compression];
  }
  const summary = `Nothing is held back: the slowest token takes ${time(flow.longestHeldMs)} longer than the fastest.`;
  return [...others, { ...finding, verdict: 'ok', summary }, compression];
}

function shown(recording: Recording): Flow {
  const { arrivals, ending, status } = recording;
  if (ending === 'shutdown') throw new CannotTest('The server is shutting down.');
  if (arrivals.length > 1) return flowOf(arrivals);
  throw new CannotTest(
    ending === 'refused'
      ? `A probe was refused with HTTP ${status}.`
      : `A probe of ${time(TOKENS.for_ms)} showed nothing: it was ${ending}.`,
  );
}

/** Most came together with the one before, and long after it was sent: no network does that. */
function isHeld({ together, longestHeldMs }: Flow): boolean {
  return together > 0.5 && longestHeldMs > 120;
}

function isHeldToTheEnd({ arrivals }: Recording, flow: Flow): boolean {
  return isHeld(flow) && arrivals.at(-1)!.arrivedMs - arrivals[0]!.arrivedMs < TOKENS.for_ms / 10;
}

function ttftFinding({ arrivals, connectedMs = 0 }: Recording): Finding {
  const { arrivedMs, sentMs } = arrivals[0]!;
  const isLate = arrivedMs - sentMs > 1_000;
  return {
    id: 'ttft',
    verdict: isLate ? 'warning' : 'ok',
    summary: `The first token is here ${time(arrivedMs)} after the request, ${time(connectedMs)} of it to connect; the model's own time comes on top.`,
    measured: {
      ttft_ms: round(arrivedMs),
      connect_ms: round(connectedMs),
      server_ms: round(sentMs),
    },
  };
}

function gapsFinding(flow: Flow): Finding {
  const { gap } = flow;
  const isUneven = gap.max > 1_000;
  const why = isHeld(flow)
    ? ': see buffering'
    : ': a busy machine, or a network that loses packets';
  return {
    id: 'gaps',
    verdict: isHeld(flow) || isUneven ? 'warning' : 'ok',
    summary: `Tokens sent every ${TOKENS.every_ms} ms come every ${time(gap.p50)}, 99 % within ${time(gap.p99)}, the longest gap is ${time(gap.max)}${isHeld(flow) || isUneven ? why : ''}.`,
    measured: {
      sent_every_ms: TOKENS.every_ms,
      p50_ms: round(gap.p50),
      p99_ms: round(gap.p99),
      max_ms: round(gap.max),
    },
  };
}

function compressionFinding(tokens: Recording, plain: Recording | undefined): Finding {
  const { 'content-encoding': encoding, 'cache-control': cacheControl = '' } = tokens.headers;
  const isMarked = cacheControl.includes('no-transform');
  const isWorse = plain && isHeld(shown(tokens)) && !isHeld(shown(plain));
  const measured = { encoding: encoding ?? null, no_transform: isMarked, holds: isWorse ?? false };
  const finding = { id: 'compression', measured } as const;
  if (isWorse) {
    const summary = `Something compresses the stream (${encoding}) and holds tokens back to do so: without compression they come at once.`;
    return { ...finding, verdict: 'problem', summary };
  }
  if (encoding !== undefined) {
    const summary = `Something compresses the stream (${encoding}), though Cache-Control says no-transform. That costs time for every token, and the next program may wait for more of them.`;
    return { ...finding, verdict: 'warning', summary };
  }
  if (!isMarked) {
    const summary =
      'Something took no-transform out of Cache-Control: what stands in front of it may compress.';
    return { ...finding, verdict: 'warning', summary };
  }
  return { ...finding, verdict: 'ok', summary: 'Nothing compresses the stream.' };
}
