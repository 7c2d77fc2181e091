import { lookup as ask } from 'node:dns';
import type { LookupFunction } from 'node:net';

type Answer = Parameters<LookupFunction>[2];

/**
 * `dns.lookup`, once at a time for each name. Each takes one of the few threads that libuv has for the
 * whole process (https://docs.libuv.org/en/v1.x/threadpool.html) for as long as the name server takes:
 * a burst of connections would wait for itself, and for all who wait for a name that hangs.
 * @param ask what is asked for all addresses of a name
 */
export function sharedLookup(ask: LookupFunction): LookupFunction {
  const waiting = new Map<string, Answer[]>();
  return (host, options, answer) => {
    const others = waiting.get(host);
    if (others) {
      others.push(answer);
      return;
    }
    const answers = [answer];
    waiting.set(host, answers);
    ask(host, options, (...found) => {
      waiting.delete(host);
      for (const each of answers) each(...found);
    });
  };
}

export const lookup = sharedLookup(ask);
