import { registerAs, type ConfigType } from '@nestjs/config';
import { z } from 'zod';
import { keyListSchema } from './api-key.js';
import { EXPECTED_POLICY, POLICY } from './disconnect-policy.js';
import { DEFAULT_BREAKER } from './file/breaker.schema.js';
import { MAX_TIMER_MS, wholeText } from './file/numbers.js';
import { originList, redisUrl, trustedProxies } from './network.js';
import { baseUrlSchema, serviceKeySchema } from './service.schema.js';

const text = z.string().optional();
const url = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }).optional();
const baseUrl = baseUrlSchema.optional();
/** A line break at the end, as of a file with a secret, is none of the key. */
const serviceKey = z.string().trim().pipe(serviceKeySchema).optional();
const MEBIBYTE = 2 ** 20;
const MAX_SECONDS = Math.floor(MAX_TIMER_MS / 1000);

const onOff = z
  .enum(['on', 'off'], { error: 'expected on or off' })
  .transform((value) => value === 'on');

function whole(fallback: number, min?: number, max?: number) {
  return wholeText(min, max).default(fallback);
}

/** The environment Sluice reads, with the defaults that `.env.example` shows. */
const environment = z
  .object({
    PORT: whole(3000, 0, 65_535),
    HOST: z.string().default('127.0.0.1'),
    LOG_LEVEL: z
      .enum(['fatal', 'error', 'warn', 'log', 'debug', 'verbose'], {
        error: 'expected fatal, error, warn, log, debug or verbose',
      })
      .default('log'),
    LOG_CONTENT: onOff.default(false),
    METRICS_PORT: wholeText(0, 65_535).optional(),
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url,
    OTEL_TRACES_EXPORTER: text,
    OTEL_SDK_DISABLED: text,
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: text,
    DOCS: onOff.default(true),
    PLAYGROUND: onOff.default(true),

    DEFAULT_MODEL: text,
    SYSTEM_PROMPT: text,
    CONFIG_FILE: text,

    API_KEYS: keyListSchema.default([]),
    AUTH: onOff.default(true),
    CORS_ORIGINS: originList.default([]),
    TRUST_PROXY: trustedProxies.default(false),

    OPENAI_API_KEY: serviceKey,
    OPENAI_BASE_URL: baseUrl,
    OPENAI_MODEL: z.string().default('gpt-4o-mini'),
    AZURE_OPENAI_ENDPOINT: baseUrl,
    AZURE_OPENAI_API_KEY: serviceKey,
    AZURE_OPENAI_KEY: serviceKey,
    AZURE_OPENAI_DEPLOYMENT: text,
    AZURE_OPENAI_CHATGPT_DEPLOYMENT: text,
    AZURE_OPENAI_API_VERSION: text,
    OPENAI_API_VERSION: text,
    OLLAMA_BASE_URL: baseUrl,
    OLLAMA_MODEL: text,
    DEMO: onOff.optional(),

    CONNECT_TIMEOUT_MS: whole(5_000),
    FIRST_TOKEN_TIMEOUT_MS: whole(120_000),
    IDLE_TIMEOUT_MS: whole(60_000),
    TOTAL_TIMEOUT_MS: whole(900_000),
    WRITE_TIMEOUT_MS: whole(30_000),
    MAX_ATTEMPTS: whole(3, 1, 100),
    BREAKER_FAILURES: whole(DEFAULT_BREAKER.failures, 0),
    BREAKER_OPEN_MS: whole(DEFAULT_BREAKER.openMs),
    COMMIT_AFTER_MS: whole(10_000),
    HEARTBEAT_MS: whole(15_000),
    MAX_BODY_BYTES: whole(20 * MEBIBYTE),
    MAX_RUN_BYTES: whole(64 * MEBIBYTE),

    ON_DISCONNECT: z.string().regex(POLICY, { error: EXPECTED_POLICY }).default('cancel'),
    MAX_GRACE_SECONDS: whole(300, 0, MAX_SECONDS),
    RUN_RETENTION_SECONDS: whole(600, 0, MAX_SECONDS),
    MAX_RETAINED_BYTES: whole(64 * MEBIBYTE, 0),

    REDIS_URL: redisUrl.optional(),
    REDIS_PREFIX: z.string().default('sluice:'),
    READY_REQUIRES_REDIS: onOff.default(false),
    LIMITS_ON_ERROR: z
      .enum(['allow', 'deny'], { error: 'expected allow or deny' })
      .default('allow'),

    SHUTDOWN_DELAY_MS: whole(5_000, 0),
    SHUTDOWN_DRAIN_MS: whole(25_000, 0),
  })
  .superRefine((env, context) => {
    const invalid = (path: keyof typeof env, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (env.AZURE_OPENAI_ENDPOINT) {
      if (!(env.AZURE_OPENAI_DEPLOYMENT ?? env.AZURE_OPENAI_CHATGPT_DEPLOYMENT)) {
        invalid('AZURE_OPENAI_DEPLOYMENT', 'expected a name, as AZURE_OPENAI_ENDPOINT is set');
      }
    }
  });

/** Stops the start. Names every bad variable and what was expected of it, never its value. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** @throws {ConfigError} when a variable has a value that Sluice can't work with. */
export function parseEnvironment(env: NodeJS.ProcessEnv) {
  const set = Object.entries(env).filter(([, value]) => value !== '');
  const result = environment.safeParse(Object.fromEntries(set));
  if (result.success) return result.data;
  const lines = result.error.issues.map(
    ({ path: [name], message }) => `  ${String(name)}: ${message}`,
  );
  throw new ConfigError(`The configuration is not valid:\n${lines.join('\n')}`);
}

const config = registerAs('sluice', () => {
  const parsed = parseEnvironment(process.env);
  // What is known by their digests need not stay for child processes and crash reports to copy.
  delete process.env.API_KEYS;
  return parsed;
});

export type Config = ConfigType<typeof config>;

/** Injects the validated environment: `@Inject(CONFIG) config: Config`. */
export const CONFIG = config.KEY;

export default config;
