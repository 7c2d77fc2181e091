import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from '../server.js';
import { round, time, type Finding } from './finding.js';
import { ProbeCall } from './recording.js';

/** How long the server gets to notice that a client left, in milliseconds. */
const WAIT_MS = 8_000;

/** How long a probe gets to be under way before it is left, in milliseconds. */
const SETTLE_MS = 2_000;
const POLL_MS = 100;

/** So soon there is nothing to complain of, in milliseconds. */
const SOON_MS = 1_000;

/** When the server saw a client leave: after so many milliseconds, never, or nobody can tell. */
type Seen = number | 'never' | 'unknown';

interface Look {
  /** When the probe began by our clock; right to within half of `tookMs`. */
  beganAt: number;
  tookMs: number;
  closedAfterMs: number | null;
}

/** Leaves two streams, one whose tokens flow and one that is silent, and asks when that was seen. */
export async function disconnectFinding(server: Server): Promise<Finding> {
  const [flowing, silent] = await Promise.all([leave(server, 100), leave(server, 60_000)]);
  const measured = { flowing_ms: figure(flowing), silent_ms: figure(silent) };
  const finding = { id: 'disconnect', measured } as const;
  if (flowing === 'unknown' || silent === 'unknown') {
    const summary =
      'It could not be told when a disconnect reaches the server: its answers came from other instances, or not at all.';
    return { ...finding, verdict: 'warning', summary };
  }
  if (flowing === 'never') {
    const summary = `A disconnect does not reach the server within ${time(WAIT_MS)}: it goes on generating for nobody, and that is billed.`;
    return { ...finding, verdict: 'problem', summary };
  }
  if (silent === 'never') {
    const summary = `A disconnect reaches the server only when it sends something (${time(flowing)} while tokens flow): a model that thinks goes on until the next heartbeat.`;
    return { ...finding, verdict: 'warning', summary };
  }
  const slowest = Math.max(flowing, silent);
  return {
    ...finding,
    verdict: slowest > SOON_MS ? 'warning' : 'ok',
    summary: `A disconnect reaches the server after ${time(flowing)} while tokens flow, ${time(silent)} in a silence.`,
  };
}

async function leave(server: Server, everyMs: number): Promise<Seen> {
  const probe = new ProbeCall(server, { every_ms: everyMs, for_ms: 60_000 });
  const looks: Look[] = [];
  const lookUntil = async (deadline: number, isEnough: () => boolean) => {
    while (performance.now() < deadline && !isEnough()) {
      const look = await lookAt(server, probe.id);
      if (look) looks.push(look);
      // At random: two that ask in step could each meet the wrong instance of two for ever.
      if (!isEnough()) await sleep(POLL_MS * 2 * Math.random());
    }
  };
  try {
    const { arrivals } = probe.recording;
    const start = performance.now();
    await lookUntil(start + SETTLE_MS, () => looks.length > 0 && arrivals.length > 0);
  } finally {
    probe.leave();
  }
  const leftAt = performance.now();
  const looksBefore = looks.length;
  await lookUntil(leftAt + WAIT_MS, () => typeof looks.at(-1)?.closedAfterMs === 'number');
  const last = looks.slice(looksBefore).at(-1);
  if (!last) return 'unknown';
  if (last.closedAfterMs === null) return 'never';
  // The quickest answer tells best when the probe began.
  const { beganAt } = looks.reduce((best, look) => (look.tookMs < best.tookMs ? look : best));
  return Math.max(0, beganAt + last.closedAfterMs - leftAt);
}

/** @returns nothing without an answer, and when it is of an instance that does not have the probe */
async function lookAt(server: Server, id: string): Promise<Look | undefined> {
  const askedAt = performance.now();
  try {
    // A connection of its own, so that a balancer is free to choose another instance each time.
    const response = await server.call(`v1/doctor/probes/${id}`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(WAIT_MS),
    });
    const { age_ms, closed_after_ms } = (await response.json()) as {
      age_ms: number;
      closed_after_ms: number | null;
    };
    const tookMs = performance.now() - askedAt;
    return { beganAt: askedAt + tookMs / 2 - age_ms, tookMs, closedAfterMs: closed_after_ms };
  } catch {
    return undefined;
  }
}

function figure(seen: Seen): number | string {
  return typeof seen === 'number' ? round(seen) : seen;
}
