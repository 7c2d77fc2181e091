import { createHash } from 'node:crypto';

/** Names in Redis. What belongs to one run has its id as hash tag, so that it shares a slot. */
export class Keys {
  constructor(private readonly prefix: string) {}

  /** Hash: owner, instance, choices, and the run's state as JSON. */
  meta = (runId: string) => `${this.prefix}run:{${runId}}:meta`;
  /** List: entries as JSON; the entry with number n is at index n - 1. */
  log = (runId: string) => `${this.prefix}run:{${runId}}:log`;
  /** String: the instance that generates the run; expires when that instance is gone. */
  lease = (runId: string) => `${this.prefix}run:{${runId}}:lease`;
  /** Channel: the log has grown. */
  grown = (runId: string) => `${this.prefix}run:{${runId}}:grown`;

  /** Sorted set: ids of an owner's runs by the time at which they were last heard of. */
  runsOf = (owner: string) => `${this.prefix}owner:{${digest(owner)}}:runs`;
  /** String: who holds an idempotency key. */
  claim = (key: string) => `${this.prefix}claim:{${key}}`;
  /** String: which run a chat shows. */
  chat = (chat: string) => `${this.prefix}chat:{${chat}}`;
  /** Channel: what other instances want of this one. */
  instance = (instance: string) => `${this.prefix}instance:{${instance}}`;
}

/** Names of keys' owners are for their operators' eyes. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
