import type { Limits } from '../config/file/limits.schema.js';

/** Something that is limited of an owner: all that it does, or what it does with some models. */
export interface Scope {
  /** The pattern of the models' names; undefined for all that the owner does. */
  models?: string;
  limits: Limits;
}

/** What a request is to take, of each scope alike: one request, a stream, and so many tokens. */
export interface Taking {
  owner: string;
  scopes: readonly Scope[];
  tokens: number;
}

/** What a request has taken and will give back. */
export interface Place extends Taking {
  id: string;
  /** When it was taken, by the store's clock, in milliseconds since 1970. */
  at: number;
}

/** What was used of a limit in the last minute, without the request in question. */
export interface MinuteUse {
  used: number;
  /** How long until all of it is over, in milliseconds. */
  resetMs: number;
  /** How long until the request fits, in milliseconds: 0 if it does, Infinity if it never will. */
  waitMs: number;
}

/** How a scope stands. */
export interface Standing {
  requests: MinuteUse;
  tokens: MinuteUse;
  /** Tokens of this day of UTC. */
  today: number;
  streams: number;
}

export interface Decision {
  /** Undefined when the request doesn't fit into every scope. Then nothing was taken of any. */
  place?: Place;
  at: number;
  /** Of the scopes, in their order. */
  standings: readonly Standing[];
}

/**
 * Counts what owners use.
 *
 * - A minute is the last sixty seconds, whenever one looks: no sixty seconds have more than the limit.
 *   It is counted in steps of a second, so that what was used leaves it within 61.
 * - What a request takes it takes at once in all its scopes, or not at all, of all instances.
 * - A place is held until it is settled; its stream may be released before. The places of an instance
 *   that died are given back, with their tokens, after a lease, by whoever asks next.
 */
export interface LimitStore {
  /** @throws {ChatError} `store_unavailable` */
  take(taking: Taking): Promise<Decision>;
  /** Gives the stream back. The tokens stay taken until they are settled. Never fails. */
  release(place: Place): void;
  /**
   * Gives the place back, and has so many tokens count instead of those that were taken. Returns at
   * once and never fails.
   */
  settle(place: Place, used: number): void;
}

export const LIMIT_STORE = Symbol('LIMIT_STORE');

/** Steps of a minute. One more is looked at, of which only a part may still be in it. */
export const STEPS = 60;

export const STEP_MS = 1_000;

export const DAY_MS = 24 * 60 * 60 * 1000;
