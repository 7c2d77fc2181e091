/**
 * Preloaded into a gateway's process (`node --import`): tells the bench of its inside, and costs
 * nothing until it is asked.
 */
import type { EventEmitter } from 'node:events';
import { Agent, ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import { Session, type Profiler } from 'node:inspector/promises';
import { Socket } from 'node:net';
import { queryObjects, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { serve } from './rpc.js';

/** Whatever a stream holds, and should let go of. */
const HELD = { Socket, ServerResponse, ClientRequest, IncomingMessage, AbortController, Agent };

const session = new Session();

const handlers = {
  startProfile: async () => {
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
  },
  stopProfile: async (): Promise<Profiler.Profile> => {
    const { profile } = await session.post('Profiler.stop');
    session.disconnect();
    return profile;
  },
  /** Collects all garbage. */
  collect: () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    gc();
    gc();
  },
  /** What keeps the event loop busy, by kind; and what is on the heap, by class. */
  held: () => {
    const held: Record<string, number> = {};
    for (const kind of process.getActiveResourcesInfo()) held[kind] = (held[kind] ?? 0) + 1;
    for (const [name, constructor] of Object.entries(HELD)) {
      held[`heap ${name}`] = (
        queryObjects as unknown as (type: unknown, options: object) => number
      )(constructor, { format: 'count' });
    }
    const emitter: EventEmitter = process;
    for (const name of emitter.eventNames()) {
      held[`process on ${String(name)}`] = emitter.listenerCount(name);
    }
    return held;
  },
};

export type Probe = typeof handlers;

serve(handlers);
// The gateway decides when it ends, not this channel.
process.channel?.unref();
