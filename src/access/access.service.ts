import { Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { isDeepStrictEqual } from 'node:util';
import { Subject } from 'rxjs';
import { CONFIG, ConfigError, type Config } from '../config/config.js';
import { ConfigFile } from '../config/file/config-file.js';
import type { JwtSettings } from '../config/file/jwt.schema.js';
import { isLoopback } from '../config/loopback.js';
import type { Settings } from '../config/settings.js';
import { ChatError } from '../errors/chat-error.js';
import { HttpClient } from '../providers/http/http-client.js';
import { ApiKeys } from './api-keys.js';
import { ANYBODY, type Caller } from './caller.js';
import { expectOwnOrigin } from './own-origin.js';
import { JsonWebTokens } from './tokens/json-web-tokens.js';

/** Knows who may call: who has a key or a token or, where there are none, who is on this machine. */
@Injectable()
export class Access {
  private readonly changed = new Subject<void>();
  /** Emits when others may call than before, or may do something else. */
  readonly changes = this.changed.asObservable();

  private keys = new ApiKeys([]);
  private jwt?: JwtSettings;
  private tokens?: JsonWebTokens;
  /** Once there were keys, a reload that leaves none lets nobody in, and not everybody. */
  private isGuarded = false;

  /** @throws {ConfigError} when everybody who can reach the server could call */
  constructor(
    file: ConfigFile,
    private readonly http: HttpClient,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.apply(file.current);
    if (config.AUTH && !this.isGuarded && !isLoopback(config.HOST)) {
      throw new ConfigError(
        'The configuration is not valid:\n  HOST: expected a loopback address, or keys in ' +
          'API_KEYS or CONFIG_FILE, or AUTH=off to serve everybody',
      );
    }
    file.changes.subscribe((settings) => {
      this.apply(settings);
      this.changed.next();
    });
  }

  /**
   * Whose request it is.
   * @param keys what it came with: keys or tokens
   * @throws {ChatError} `invalid_api_key`, `permission_denied` or, while a token can't be checked,
   *   `store_unavailable`
   */
  async admit(request: Request, keys: readonly string[]): Promise<Caller> {
    this.expectOrigin(request);
    if (!this.isGuarded) return ANYBODY;
    const caller = keys.map((key) => this.keys.find(key)).find((found) => found !== undefined);
    if (caller) return caller;
    const token = this.tokens && keys.find((key) => JsonWebTokens.suits(key));
    if (token) return this.tokens!.verify(token);
    throw new ChatError('invalid_api_key', 'The API key is missing or wrong.');
  }

  /** @throws {ChatError} `permission_denied` for who is elsewhere, where there are no keys */
  expectOrigin(request: Request) {
    if (this.config.AUTH && !this.isGuarded) expectOwnOrigin(request);
  }

  /** What somebody who was let in before may do now; nothing when that would not be let in. */
  current(caller: Caller): Caller | undefined {
    switch (caller.source) {
      case 'key':
        return this.keys.current(caller);
      case 'token':
        return caller.credential === this.tokens?.credential ? caller : undefined;
      case 'anybody':
        return this.isGuarded ? undefined : caller;
    }
  }

  private apply({ keys, jwt }: Settings) {
    this.keys = new ApiKeys(keys);
    // Kept where nothing changed, as it has fetched its issuer's keys.
    if (!isDeepStrictEqual(jwt, this.jwt)) this.tokens = jwt && new JsonWebTokens(jwt, this.http);
    this.jwt = jwt;
    this.isGuarded ||= this.config.AUTH && (keys.length > 0 || jwt !== undefined);
  }
}
