import { ChatError } from '../errors/chat-error.js';
import {
  DAY_MS,
  STEP_MS,
  STEPS,
  type Decision,
  type Scope,
  type Standing,
  type Taking,
} from './limit-store.js';

/** How one limit stands, as clients like to know it. */
export interface Rate {
  limit: number;
  remaining: number;
  /** How long until nothing of it is used any more, in milliseconds. */
  resetMs: number;
}

/** Of each kind the limit of which the least is left. */
export interface RateLimits {
  requests?: Rate;
  tokens?: Rate;
}

/** One limit, and what a request finds there. */
interface Check {
  kind: 'requests' | 'tokens' | 'day' | 'streams';
  /** The pattern of the models' names that it is of; undefined for all. */
  models?: string;
  /** Undefined for none. */
  limit: number | undefined;
  used: number;
  /** What the request takes of it. */
  wanted: number;
  resetMs: number;
  /** 0 where the request fits, Infinity where it never will. */
  waitMs: number;
}

/** How long a client is to wait for a stream to end, in milliseconds: nobody knows when one will. */
const STREAM_WAIT_MS = 1_000;

const UNITS = {
  requests: 'requests a minute',
  tokens: 'tokens a minute',
  day: 'tokens a day',
  streams: 'streams at a time',
} as const;

/** How the limits stand, with what the request took. */
export function rateLimitsOf(taking: Taking, decision: Decision): RateLimits {
  const checks = checksOf(taking, decision);
  const scarcest = (...kinds: Check['kind'][]) =>
    checks
      .filter(({ kind }) => kinds.includes(kind))
      .flatMap((check) => rateOf(check, decision.place !== undefined))
      .sort((one, other) => one.remaining - other.remaining)[0];
  return { requests: scarcest('requests'), tokens: scarcest('tokens', 'day') };
}

/** Why the request was not let in: the limit that it would have to wait for longest. */
export function refusalOf(taking: Taking, decision: Decision): ChatError {
  const [check] = checksOf(taking, decision).sort((one, other) => other.waitMs - one.waitMs);
  const { kind, models, limit, wanted, waitMs } = check!;
  const of = models === undefined ? '' : ` for models ${models}`;
  const said = `The key is limited to ${limit} ${UNITS[kind]}${of}`;
  if (waitMs === Infinity) {
    const message = `${said}, and this request alone may need ${wanted}. A smaller max_tokens helps.`;
    return new ChatError('rate_limit_exceeded', message, { retryable: false });
  }
  return new ChatError(kind === 'day' ? 'insufficient_quota' : 'rate_limit_exceeded', `${said}.`, {
    retryAfterMs: waitMs,
    // A wait can be 61 s, which alone would count as too long to retry.
    retryable: kind !== 'day',
  });
}

function checksOf({ scopes, tokens }: Taking, { at, standings }: Decision): Check[] {
  return scopes.flatMap((scope, index) => checksOfScope(scope, tokens, at, standings[index]!));
}

function checksOfScope(
  { models, limits }: Scope,
  tokens: number,
  at: number,
  standing: Standing,
): Check[] {
  const { requests, tokens: minute, today, streams } = standing;
  const toMidnight = DAY_MS - (at % DAY_MS);
  const wait = (used: number, wanted: number, limit = Infinity, waitMs: number) => {
    if (used + wanted <= limit) return 0;
    return wanted > limit ? Infinity : waitMs;
  };
  const { requestsPerMinute, tokensPerMinute, tokensPerDay, concurrentStreams } = limits;
  return [
    { kind: 'requests', models, limit: requestsPerMinute, wanted: 1, ...requests },
    { kind: 'tokens', models, limit: tokensPerMinute, wanted: tokens, ...minute },
    {
      kind: 'day',
      models,
      limit: tokensPerDay,
      used: today,
      wanted: tokens,
      resetMs: toMidnight,
      waitMs: wait(today, tokens, tokensPerDay, toMidnight),
    },
    {
      kind: 'streams',
      models,
      limit: concurrentStreams,
      used: streams,
      wanted: 1,
      resetMs: 0,
      waitMs: wait(streams, 1, concurrentStreams, STREAM_WAIT_MS),
    },
  ];
}

function rateOf({ kind, limit, used, wanted, resetMs }: Check, isTaken: boolean): Rate[] {
  if (limit === undefined) return [];
  if (!isTaken) return [{ limit, remaining: Math.max(0, limit - used), resetMs }];
  // What the request took counts for a whole minute.
  const wholeMs = kind === 'day' ? resetMs : (STEPS + 1) * STEP_MS;
  return [{ limit, remaining: Math.max(0, limit - used - wanted), resetMs: wholeMs }];
}
