import { createHash } from 'node:crypto';
import type { RunState } from '../run.js';

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

  /** Sorted set: an owner's runs, as {@link listed}, by the time at which they were last heard of. */
  runsOf = (owner: string) => `${this.prefix}owner:{${digest(owner)}}:runs`;
  /** String: who holds an idempotency key. */
  claim = (key: string) => `${this.prefix}claim:{${key}}`;
  /** String: which run a chat shows. */
  chat = (chat: string) => `${this.prefix}chat:{${chat}}`;
  /** Channel: what other instances want of this one. */
  instance = (instance: string) => `${this.prefix}instance:{${instance}}`;
}

/** A run among its owner's: by their names the runs sort as they were created. */
export function listed({ created_at, id }: RunState): string {
  return `${created_at} ${id}`;
}

export function idOfListed(name: string): string {
  return name.slice(name.indexOf(' ') + 1);
}

/** Names of keys' owners are for their operators' eyes. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
