import type { Response } from 'express';
import type { Rate, RateLimits } from '../limits/rate-limits.js';
import { isOfAnthropic } from './anthropic/anthropic-version.js';

/** Says how the limits stand in the headers that the route's clients know. */
export function setRateLimits(response: Response, limits: RateLimits) {
  if (response.headersSent) return;
  const isAnthropic = isOfAnthropic(response.req);
  for (const [kind, rate] of Object.entries(limits) as [string, Rate | undefined][]) {
    if (!rate) continue;
    const { limit, remaining, resetMs } = rate;
    if (isAnthropic) {
      // https://docs.anthropic.com/en/api/rate-limits#response-headers
      const reset = new Date(Date.now() + resetMs).toISOString().replace(/\.\d+Z$/, 'Z');
      response.setHeader(`anthropic-ratelimit-${kind}-limit`, limit);
      response.setHeader(`anthropic-ratelimit-${kind}-remaining`, remaining);
      response.setHeader(`anthropic-ratelimit-${kind}-reset`, reset);
    } else {
      // https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
      response.setHeader(`x-ratelimit-limit-${kind}`, limit);
      response.setHeader(`x-ratelimit-remaining-${kind}`, remaining);
      response.setHeader(`x-ratelimit-reset-${kind}`, durationOf(resetMs));
    }
  }
}

/** A duration as OpenAI writes it: `120ms`, `1s`, `6m0s`, `1h0m0s`. */
function durationOf(ms: number): string {
  if (ms < 1_000) return ms === 0 ? '0s' : `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 1_000);
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60)];
  const rest = `${seconds % 60}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}
