import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from '../server.js';
import { visit } from './about.js';
import { bufferingFindings, TOKENS } from './buffering.js';
import { disconnectFinding } from './disconnect.js';
import { CannotTest, time, type Finding } from './finding.js';
import { ProbeCall, type ProbePlan, type Recording } from './recording.js';
import {
  durationFinding,
  flowFor,
  heartbeatsFinding,
  HEARTBEATS,
  silenceFinding,
  silenceOf,
} from './silence.js';

/** With what proxies answer when the server was silent for too long. */
const GAVE_UP = [408, 502, 504, 524];

/**
 * Looks at everything on the path to a server, at once, so that it takes little longer than the
 * longest silence.
 * @throws {CannotTest} what `http.request` throws when there is no server
 */
export async function examine(server: Server, maxSilenceMs: number): Promise<Finding[]> {
  const { about, findings } = await visit(server);
  const calls: ProbeCall[] = [];
  const probe = (plan: ProbePlan, encodings?: string) => {
    const call = new ProbeCall(server, plan, encodings);
    calls.push(call);
    return call;
  };
  try {
    const tokens = probe(TOKENS);
    // The first token is not to be late for what else is asked.
    await Promise.race([tokens.begun, sleep(1_000)]);
    const unhinted = probe({ ...TOKENS, hint: 'off' });
    const heartbeats = probe(HEARTBEATS);
    const silence = probe(silenceOf(maxSilenceMs));
    const flow = probe(flowFor(maxSilenceMs));
    const pace = (async () => {
      const probes = { tokens: await tell(tokens), unhinted: await tell(unhinted) };
      // What is compressed is looked at again without: is it that which holds tokens back?
      const isCompressed = probes.tokens.headers['content-encoding'] !== undefined;
      if (!isCompressed) return bufferingFindings(probes);
      const plain = await tell(probe(TOKENS, 'identity'));
      return bufferingFindings({ ...probes, plain });
    })();
    const stay = (async () => {
      const beats = heartbeatsFinding(await tell(heartbeats));
      const [silent, flowing] = [await tell(silence), await tell(flow)];
      return [
        beats,
        silenceFinding(silent, flowing, maxSilenceMs, about, beats),
        durationFinding(flowing, maxSilenceMs),
      ];
    })();
    const found = await Promise.all([pace, stay, disconnectFinding(server)]);
    return [...findings, ...found.flat()];
  } finally {
    for (const call of calls) call.leave();
  }
}

async function tell(call: ProbeCall): Promise<Recording> {
  return expectServed(await call.ended);
}

/** @throws {CannotTest} when it is not the path that ended the probe */
function expectServed(recording: Recording): Recording {
  const { ending, status = 0, endedMs } = recording;
  if (ending === 'shutdown') throw new CannotTest('The server is shutting down.');
  if (ending === 'refused' && !GAVE_UP.includes(status)) {
    throw new CannotTest(`A probe was refused with HTTP ${status} after ${time(endedMs)}.`);
  }
  return recording;
}
