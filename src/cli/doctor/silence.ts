import type { About } from './about.js';
import { round, time, type Finding } from './finding.js';
import { flowOf } from './flow.js';
import type { ProbePlan, Recording } from './recording.js';

/** Heartbeats as Sluice sends them, but faster. */
export const HEARTBEATS: ProbePlan = { every_ms: 500, for_ms: 3_000, as: 'comment' };

/** A heartbeat that is held for longer comes too late for whom it should reassure, in milliseconds. */
const LATE_MS = 1_000;

/** Two streams that end so close were ended by the same rule, in milliseconds. */
const SAME_MS = 500;

/** One event, nothing for so long, and another. */
export function silenceOf(ms: number): ProbePlan {
  return { every_ms: ms, for_ms: ms };
}

/** A slow model that never stops. */
export function flowFor(ms: number): ProbePlan {
  return { every_ms: 250, for_ms: ms, bytes: 50 };
}

export function heartbeatsFinding({ arrivals }: Recording): Finding {
  const sent = HEARTBEATS.for_ms / HEARTBEATS.every_ms + 1;
  const heldMs = arrivals.length > 0 ? flowOf(arrivals).longestHeldMs : null;
  const measured = { sent, arrived: arrivals.length, held_longest_ms: heldMs && round(heldMs) };
  const finding = { id: 'heartbeats', measured } as const;
  if (heldMs === null) {
    return { ...finding, verdict: 'problem', summary: 'No heartbeat comes through.' };
  }
  if (arrivals.length < sent) {
    const summary = `Only ${arrivals.length} of ${sent} heartbeats come through.`;
    return { ...finding, verdict: 'problem', summary };
  }
  if (heldMs > LATE_MS) {
    const summary = `Heartbeats are held back for up to ${time(heldMs)}: they keep no connection open behind whatever holds them.`;
    return { ...finding, verdict: 'problem', summary };
  }
  return { ...finding, verdict: 'ok', summary: 'Heartbeats come through in a silence.' };
}

/**
 * @param forMs how long the probe was to be silent
 * @param flow a stream as long whose bytes flowed
 */
export function silenceFinding(
  recording: Recording,
  flow: Recording,
  forMs: number,
  { heartbeat_ms, commit_after_ms }: About,
  heartbeats: Finding,
): Finding {
  const { ending } = recording;
  // The longest that Sluice itself is silent: before the first byte, or between two heartbeats.
  const ownMs = Math.max(heartbeat_ms, commit_after_ms);
  const cutMs = ending === 'cut' || ending === 'refused' ? lastedMs(recording) : null;
  const measured = { cut_after_ms: cutMs && round(cutMs), probed_ms: forMs, heartbeat_ms };
  const finding = { id: 'silence', measured } as const;
  if (ending === 'dead') {
    const summary = `A connection that is silent for ${time(forMs)} is dead, and nobody says so: something forgets it.`;
    if (forMs > ownMs && heartbeats.verdict === 'ok' && flow.ending === 'complete') {
      const seconds = Math.ceil(ownMs / 1_000);
      const hint = `Sluice is silent for ${time(ownMs)} at the most: --max-silence ${seconds} tells whether that is too long.`;
      return { ...finding, verdict: 'warning', summary: `${summary} ${hint}` };
    }
    return { ...finding, verdict: 'problem', summary };
  }
  if (cutMs === null) {
    const summary = `A silence of ${time(forMs)} is not cut.`;
    return { ...finding, verdict: 'ok', summary };
  }
  if (flow.ending !== 'complete' && lastedMs(flow) < cutMs + SAME_MS) {
    const summary = 'A silent stream is cut no sooner than one that flows.';
    return { ...finding, verdict: 'ok', summary };
  }
  const cut = `The path is cut after ${time(cutMs)} of silence`;
  if (cutMs <= ownMs) {
    const ms = Math.max(1_000, Math.floor(cutMs / 2_000) * 1_000);
    return {
      ...finding,
      verdict: 'problem',
      summary: `${cut}, but Sluice is silent for up to ${time(ownMs)} while a model thinks: such answers are lost.`,
      sluice: `HEARTBEAT_MS=${ms} COMMIT_AFTER_MS=${ms}`,
    };
  }
  if (heartbeats.verdict === 'problem') {
    const summary = `${cut}, and heartbeats don't come through to prevent it.`;
    return { ...finding, verdict: 'problem', summary };
  }
  const summary = `${cut}; a heartbeat every ${time(heartbeat_ms)} keeps streams open.`;
  return { ...finding, verdict: 'ok', summary };
}

export function durationFinding(recording: Recording, forMs: number): Finding {
  const { ending } = recording;
  const isCut = ending !== 'complete';
  const cutMs = lastedMs(recording);
  return {
    id: 'duration',
    verdict: isCut ? 'problem' : 'ok',
    summary: isCut
      ? `The path is cut after ${time(cutMs)} although bytes flow: something limits how long an answer may take.`
      : `A stream of ${time(forMs)} is not cut.`,
    measured: { cut_after_ms: isCut ? round(cutMs) : null, probed_ms: forMs },
  };
}

function lastedMs({ endedMs, connectedMs = 0 }: Recording): number {
  return endedMs - connectedMs;
}
