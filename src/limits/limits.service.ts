import { Inject, Injectable, Logger } from '@nestjs/common';
import type { Caller } from '../access/caller.js';
import { CONFIG, type Config } from '../config/config.js';
import { findAlias } from '../config/file/aliases.js';
import { ConfigFile } from '../config/file/config-file.js';
import { ChatError } from '../errors/chat-error.js';
import type { ChatRequest } from '../providers/chat-provider.js';
import { Admission } from './admission.js';
import {
  LIMIT_STORE,
  type LimitStore,
  type Place,
  type Scope,
  type Taking,
} from './limit-store.js';
import { rateLimitsOf, refusalOf, type RateLimits } from './rate-limits.js';
import { estimateTokens } from './token-estimate.js';

export interface LimitedRequest {
  caller: Caller;
  /** What its model is called, as it was asked for and as what it leads to. */
  models: readonly string[];
  request: ChatRequest;
  /** Hears how the limits stand, whether the request is let in or not. */
  onLimits?: (limits: RateLimits) => void;
}

/** Lets requests in as far as their keys' limits go. */
@Injectable()
export class LimitsService {
  private readonly logger = new Logger('Limits');
  private isCounting = true;

  constructor(
    private readonly file: ConfigFile,
    @Inject(LIMIT_STORE) private readonly store: LimitStore,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** @returns nothing for a request that nothing limits */
  admissionOf({ caller, models, request, onLimits }: LimitedRequest): Admission | undefined {
    const scopes = this.scopesOf(caller, models);
    if (scopes.length === 0) return undefined;
    const taking = { owner: caller.owner, scopes, tokens: estimateTokens(request) };
    return new Admission(() => this.take(taking, onLimits), this.store);
  }

  /** A key's own limits stand in place of the default ones, and those of models beside them. */
  private scopesOf(caller: Caller, models: readonly string[]): Scope[] {
    const { limits } = this.file.current;
    const scopes: Scope[] = [];
    const own = caller.limits ?? limits.default;
    if (own) scopes.push({ limits: own });
    if (limits.models.length === 0) return scopes;
    const found = new Set(models.map((name) => findAlias(limits.models, name)?.alias));
    for (const alias of found) {
      if (alias) scopes.push({ models: alias.name, limits: alias.limits });
    }
    return scopes;
  }

  /** @throws {ChatError} `rate_limit_exceeded`, `insufficient_quota` or `store_unavailable` */
  private async take(
    taking: Taking,
    onLimits?: LimitedRequest['onLimits'],
  ): Promise<Place | undefined> {
    try {
      const decision = await this.store.take(taking);
      this.isCounting = true;
      onLimits?.(rateLimitsOf(taking, decision));
      if (!decision.place) throw refusalOf(taking, decision);
      return decision.place;
    } catch (error) {
      const isAway = error instanceof ChatError && error.code === 'store_unavailable';
      if (!isAway || this.config.LIMITS_ON_ERROR === 'deny') throw error;
      if (this.isCounting) this.logger.warn('Redis is away: requests are let in uncounted');
      this.isCounting = false;
      return undefined;
    }
  }
}
