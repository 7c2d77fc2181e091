import { describe, expect, it } from '@jest/globals';
import type { About } from './about.js';
import type { Recording } from './recording.js';
import { heartbeatsFinding, silenceFinding } from './silence.js';

const ABOUT = { heartbeat_ms: 15_000, commit_after_ms: 10_000 } as About;

function recording(ending: Recording['ending'], count = 0): Recording {
  const arrivals = Array.from({ length: count }, (_, n) => ({
    sentMs: n * 500,
    arrivedMs: n * 500 + 20,
    bytes: 50,
  }));
  return { arrivals, headers: {}, endedMs: 65_000, ending };
}

const HEARTBEATS = heartbeatsFinding(recording('complete', 7));

describe(silenceFinding.name, () => {
  const verdict = (forMs: number, heartbeats = HEARTBEATS, flow = recording('complete')) =>
    silenceFinding(recording('dead'), flow, forMs, ABOUT, heartbeats);

  it('only warns of a path that forgets connections, when heartbeats may keep it from that', () => {
    const { verdict: how, summary } = verdict(60_000);
    expect(how).toBe('warning');
    expect(summary).toContain('--max-silence 15');
  });

  it.each([
    ['within the silence of Sluice itself', verdict(15_000)],
    ['where heartbeats do not come through', verdict(60_000, heartbeatsFinding(recording('cut')))],
    ['where a flow is no better', verdict(60_000, HEARTBEATS, recording('cut'))],
  ])('complains of one that does so %s', (_where, finding) => {
    expect(finding.verdict).toBe('problem');
  });
});

describe(heartbeatsFinding.name, () => {
  it('complains when some do not come through', () => {
    expect(HEARTBEATS.verdict).toBe('ok');
    expect(heartbeatsFinding(recording('complete', 1)).verdict).toBe('problem');
  });
});
