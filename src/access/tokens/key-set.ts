import { Logger } from '@nestjs/common';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { timer } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { HttpClient } from '../../providers/http/http-client.js';
import { readBody } from '../../providers/http/read-body.js';

/** Keys older than this are fetched anew before they are used, in milliseconds. */
const MAX_AGE_MS = 10 * 60_000;

/** While their issuer can't be reached, keys are used until they are this old, in milliseconds. */
const MAX_AGE_WHILE_AWAY_MS = 60 * 60_000;

/** Strangers' tokens, and an issuer that is away, cause one request in so long, in milliseconds. */
const COOLDOWN_MS = 2_000;

const CONNECT_TIMEOUT_MS = 2_000;
const FETCH_TIMEOUT_MS = 5_000;
const MAX_BYTES = 2 ** 20;

/**
 * The public keys of whoever issues tokens, from their JWKS URL. A token with a key that is not known
 * makes them be fetched anew: keys are rotated without a restart.
 */
export class KeySet {
  private readonly logger = new Logger('Tokens');
  private keys?: { find: JWTVerifyGetKey; fetchedAt: number };
  private isAway = false;
  private fetching?: Promise<void>;
  private askAgainAt = -Infinity;

  constructor(
    private readonly url: string,
    private readonly http: Pick<HttpClient, 'request'>,
  ) {}

  /**
   * The key that a token says it is signed with.
   * @throws {ChatError} `store_unavailable` when that can't be known now
   * @throws {JOSEError} when there is no such key, or more than one
   */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    if (this.age > MAX_AGE_MS) {
      // Nobody waits for an issuer that was away a moment ago, unless there is no going on without it.
      const isDispensable = this.isAway && this.age <= MAX_AGE_WHILE_AWAY_MS;
      const refreshing = this.refresh();
      if (!isDispensable) await refreshing;
    }
    try {
      return await this.known(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.refresh();
      // Whether there is such a key by now only the issuer knows.
      if (this.isAway) throw unavailable();
      return this.known(header, token);
    }
  };

  private get age(): number {
    return this.keys ? performance.now() - this.keys.fetchedAt : Infinity;
  }

  private get known(): JWTVerifyGetKey {
    if (!this.keys || this.age > MAX_AGE_WHILE_AWAY_MS) throw unavailable();
    return this.keys.find;
  }

  private async refresh(): Promise<void> {
    if (performance.now() < this.askAgainAt) return;
    this.fetching ??= this.fetch().finally(() => {
      this.askAgainAt = performance.now() + COOLDOWN_MS;
      this.fetching = undefined;
    });
    await this.fetching;
  }

  private async fetch(): Promise<void> {
    try {
      const find = createLocalJWKSet(await this.download());
      this.keys = { find, fetchedAt: performance.now() };
      this.isAway = false;
    } catch (error) {
      this.isAway = true;
      this.logger.warn(`The keys of ${this.url} can't be fetched: ${(error as Error).message}`);
    }
  }

  private async download(): Promise<JSONWebKeySet> {
    const demand = timer(FETCH_TIMEOUT_MS).subscribe();
    try {
      const response = await this.http.request(new URL(this.url), {
        method: 'GET',
        headers: { accept: 'application/json' },
        demand,
        connectMs: CONNECT_TIMEOUT_MS,
      });
      const { text, isWhole } = await readBody(response, MAX_BYTES);
      if (response.status !== 200) throw new Error(`it answers ${response.status}`);
      if (!isWhole) throw new Error(`its answer was cut, or is longer than ${MAX_BYTES} bytes`);
      return JSON.parse(text) as JSONWebKeySet;
    } finally {
      demand.unsubscribe();
    }
  }
}

function unavailable(): ChatError {
  const message = "The keys that tokens are signed with can't be fetched now.";
  return new ChatError('store_unavailable', message, { retryAfterMs: COOLDOWN_MS });
}
