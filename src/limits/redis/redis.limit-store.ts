import type { OnApplicationShutdown } from '@nestjs/common';
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection } from '../../redis/redis-connection.js';
import {
  STEP_MS,
  type Decision,
  type LimitStore,
  type Place,
  type Scope,
  type Standing,
  type Taking,
} from '../limit-store.js';
import { RELEASE, RENEW, SETTLE, TAKE } from './scripts.js';

/** How long the places of an instance that says nothing are held, in milliseconds. */
export const LEASE_MS = 5_000;

/** How often an instance says that it holds its places, in milliseconds. */
const RENEW_MS = 1_500;

/** Places of one renewal. */
const MAX_BATCH = 500;

/** Places that may wait to be settled while Redis is away. Those beyond are free after their lease. */
const MAX_UNSETTLED = 10_000;

/** How long the last places get to be settled at shutdown, in milliseconds. */
const SETTLE_MS = 1_000;

/** Numbers of a scope in the reply to {@link TAKE}. */
const SCOPE_LENGTH = 8;

/** A place as Redis has it. */
interface Held {
  /** Of counts, places and those released, of each scope. */
  keys: string[];
  /** All that it takes to give it back: id, tokens, time. */
  name: string;
  isReleased: boolean;
}

interface Unsettled extends Held {
  used: number;
  /** Whether it was tried before, and can be done. */
  isAgain: boolean;
}

/** The limits of all instances that share a Redis: one round trip a request, and one when it is over. */
export class RedisLimitStore implements LimitStore, OnApplicationShutdown {
  private readonly instance = randomUUID();
  private lastId = 0;
  private readonly held = new Map<Place, Held>();
  private readonly unsettled = new Map<Place, Unsettled>();
  private readonly renewing: NodeJS.Timeout;

  /** @param stepMs a sixtieth of what is taken for a minute */
  constructor(
    private readonly redis: RedisConnection,
    private readonly stepMs = STEP_MS,
  ) {
    this.renewing = setInterval(() => this.renew(), RENEW_MS).unref();
  }

  async take(taking: Taking): Promise<Decision> {
    const { owner, scopes, tokens } = taking;
    const id = `${this.instance}.${(this.lastId += 1)}`;
    const limits = scopes.flatMap(({ limits }) => [
      String(limits.requestsPerMinute ?? -1),
      String(limits.tokensPerMinute ?? -1),
      String(limits.tokensPerDay ?? -1),
      String(limits.concurrentStreams ?? -1),
    ]);
    const keys = this.keysOf(owner, scopes);
    const reply = await this.redis.ask((client) =>
      TAKE.run(client, keys, [...this.times, id, String(tokens), ...limits]),
    );
    const [at = 0, isTaken, ...numbers] = reply;
    const standings = scopes.map((_scope, index) =>
      toStanding(numbers.slice(index * SCOPE_LENGTH, (index + 1) * SCOPE_LENGTH)),
    );
    if (isTaken !== 1) return { at, standings };
    const place = { ...taking, id, at };
    this.held.set(place, { keys, name: `${id} ${tokens} ${at}`, isReleased: false });
    return { place, at, standings };
  }

  release(place: Place) {
    const held = this.held.get(place);
    if (!held || !this.redis.isUp) return;
    held.isReleased = true;
    // If this fails, the stream stays taken until the place is settled.
    RELEASE.run(this.redis.commands, held.keys, [...this.times, held.name]).catch(() => undefined);
  }

  settle(place: Place, used: number) {
    const held = this.held.get(place);
    this.held.delete(place);
    if (!held || this.unsettled.size >= MAX_UNSETTLED) return;
    const unsettled = { ...held, used, isAgain: false };
    this.unsettled.set(place, unsettled);
    void this.trySettle(place, unsettled);
  }

  async onApplicationShutdown() {
    clearInterval(this.renewing);
    const deadline = performance.now() + SETTLE_MS;
    while (this.unsettled.size > 0 && this.redis.isUp && performance.now() < deadline) {
      await sleep(10);
    }
  }

  private async trySettle(place: Place, unsettled: Unsettled): Promise<void> {
    if (!this.redis.isUp) return;
    const { keys, name, used, isAgain } = unsettled;
    unsettled.isAgain = true;
    const numbers = [place.tokens, place.at, used, isAgain ? 0 : 1].map(String);
    try {
      await SETTLE.run(this.redis.commands, keys, [...this.times, name, ...numbers]);
      this.unsettled.delete(place);
    } catch {
      // The renewal tries again.
    }
  }

  private renew() {
    if (!this.redis.isUp) return;
    for (const [place, unsettled] of this.unsettled) void this.trySettle(place, unsettled);
    const scopes = new Map<string, { keys: string[]; names: string[] }>();
    for (const { keys, name, isReleased } of this.held.values()) {
      for (let at = 0; at < keys.length; at += 3) {
        const places = keys[at + (isReleased ? 2 : 1)]!;
        const scope = scopes.get(places) ?? { keys: [keys[at]!, places], names: [] };
        scopes.set(places, scope);
        scope.names.push(name);
      }
    }
    for (const { keys, names } of scopes.values()) {
      for (let from = 0; from < names.length; from += MAX_BATCH) {
        const batch = names.slice(from, from + MAX_BATCH);
        // The next renewal tries again.
        RENEW.run(this.redis.commands, keys, [...this.times, ...batch]).catch(() => undefined);
      }
    }
  }

  private get times(): string[] {
    return [String(this.stepMs), String(LEASE_MS)];
  }

  private keysOf(owner: string, scopes: readonly Scope[]): string[] {
    const tag = `${this.redis.prefix}limits:{${digest(owner)}}`;
    return scopes.flatMap(({ models }) => {
      const name = models === undefined ? 'all' : `models:${digest(models)}`;
      return ['counts', 'places', 'released'].map((key) => `${tag}:${name}:${key}`);
    });
  }
}

function toStanding(numbers: number[]): Standing {
  const [requests = 0, requestsReset = 0, requestsWait = 0, ...rest] = numbers;
  const [used = 0, reset = 0, wait = 0, today = 0, streams = 0] = rest;
  return {
    requests: { used: requests, resetMs: requestsReset, waitMs: endless(requestsWait) },
    tokens: { used, resetMs: reset, waitMs: endless(wait) },
    today,
    streams,
  };
}

function endless(waitMs: number): number {
  return waitMs < 0 ? Infinity : waitMs;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
