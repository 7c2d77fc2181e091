import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Config } from '../config/config.js';

/** How long a browser may remember what it was allowed, in seconds: the most that any of them does. */
const PREFLIGHT_SECONDS = 86_400;

/** What clients in browsers read, beside what every page may. */
const EXPOSED_HEADERS = [
  'Sluice-Run-Id',
  'X-Request-Id',
  'request-id',
  'Retry-After',
  'retry-after-ms',
  'x-should-retry',
  ...['limit', 'remaining', 'reset'].flatMap((what) => [
    `x-ratelimit-${what}-requests`,
    `x-ratelimit-${what}-tokens`,
    `anthropic-ratelimit-requests-${what}`,
    `anthropic-ratelimit-tokens-${what}`,
  ]),
];

/** Lets other origins' pages in, as configured. Answers their preflights: what comes later sees none. */
export function allowOrigins(app: NestExpressApplication, { CORS_ORIGINS }: Config) {
  if (CORS_ORIGINS.length === 0) return;
  app.enableCors({
    origin: CORS_ORIGINS.includes('*') ? '*' : CORS_ORIGINS,
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_SECONDS,
  });
}
