import type { ApiKey } from './api-key.js';
import { ConfigError, type Config } from './config.js';
import { environmentProviders } from './environment-providers.js';
import { withBreaker, type BreakerSettings } from './file/breaker.schema.js';
import type { FileSections } from './file/file.schema.js';
import type { JwtSettings } from './file/jwt.schema.js';
import { apiKeysOf } from './file/keys.schema.js';
import type { LimitsSettings } from './file/limits-section.schema.js';
import type { AliasSettings } from './file/models.schema.js';
import type { BulkheadSettings, FileProvider, Service } from './file/providers.schema.js';
import { withTimeouts, type Timeouts } from './file/timeouts.schema.js';

/** A service under the name that stands before the slash in its models' names. */
export interface ProviderSettings {
  name: string;
  service: Service;
  timeouts: Timeouts;
  /** Whether its time to the first token is its own, and so more than an alias has a say in. */
  hasOwnFirstToken: boolean;
  breaker: BreakerSettings | 'off';
  bulkhead?: BulkheadSettings;
}

/** What the environment and the file say together; a reload of the file changes it. */
export interface Settings {
  /** In the order in which they become the default. */
  providers: readonly [ProviderSettings, ...ProviderSettings[]];
  aliases: readonly AliasSettings[];
  keys: readonly ApiKey[];
  jwt?: JwtSettings;
  /** How often a target is asked where its alias says nothing. */
  attempts: number;
  /** How long may pass to the first content, whoever is asked, in milliseconds. */
  firstTokenMs: number;
  limits: LimitsSettings;
}

/**
 * The environment's providers, or the file's of the same name, then the file's others; and the demo
 * when there is no other or when it is asked for. The environment's keys and the file's.
 * @throws {ConfigError} when nothing would be left to answer
 */
export function settle(config: Config, file: FileSections): Settings {
  const providers = new Map<string, FileProvider>();
  for (const service of environmentProviders(config)) providers.set(service.type, { service });
  for (const [name, provider] of Object.entries(file.providers)) providers.set(name, provider);
  if ((config.DEMO ?? providers.size === 0) && !providers.has('demo')) {
    providers.set('demo', { service: { type: 'demo' } });
  }

  const inherited = timeoutsOf(config);
  const common = withBreaker(breakerOf(config), file.breaker);
  const [first, ...others] = [...providers].map(
    ([name, { service, timeouts, breaker, bulkhead }]): ProviderSettings => ({
      name,
      service,
      timeouts: withTimeouts(inherited, timeouts),
      hasOwnFirstToken: timeouts?.firstToken !== undefined,
      // What is rehearsed fails the same way every time.
      breaker: withBreaker(service.type === 'demo' ? 'off' : common, breaker),
      bulkhead,
    }),
  );
  if (!first) {
    throw new ConfigError(
      'The configuration is not valid:\n' +
        '  DEMO: expected on, or a provider by OPENAI_API_KEY, OPENAI_BASE_URL, ' +
        'AZURE_OPENAI_ENDPOINT, OLLAMA_BASE_URL, OLLAMA_MODEL or in CONFIG_FILE',
    );
  }
  return {
    providers: [first, ...others],
    aliases: file.models,
    keys: [...config.API_KEYS, ...file.keys.flatMap(apiKeysOf)],
    jwt: file.jwt,
    attempts: config.MAX_ATTEMPTS,
    firstTokenMs: config.FIRST_TOKEN_TIMEOUT_MS,
    limits: file.limits,
  };
}

function breakerOf({ BREAKER_FAILURES, BREAKER_OPEN_MS }: Config): BreakerSettings | 'off' {
  if (BREAKER_FAILURES === 0) return 'off';
  return { failures: BREAKER_FAILURES, openMs: BREAKER_OPEN_MS };
}

function timeoutsOf(config: Config): Timeouts {
  return {
    connect: config.CONNECT_TIMEOUT_MS,
    firstToken: config.FIRST_TOKEN_TIMEOUT_MS,
    idle: config.IDLE_TIMEOUT_MS,
    total: config.TOTAL_TIMEOUT_MS,
    write: config.WRITE_TIMEOUT_MS,
  };
}
