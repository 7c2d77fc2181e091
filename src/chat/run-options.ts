import type { Request } from 'express';
import { EXPECTED_POLICY, graceMs } from '../config/disconnect-policy.js';
import type { Config } from '../config/config.js';
import { ChatError } from '../errors/chat-error.js';

const MAX_KEY_LENGTH = 255;

/** What a request may say beside its body: in a header or, for EventSource, in the query. */
export interface RunOptions {
  /** How long the run goes on after its last viewer left, in milliseconds. */
  graceMs: number;
  /** Includes the route, so that a key means nothing elsewhere. */
  idempotencyKey?: string;
}

/** @throws {ChatError} `invalid_request` */
export function runOptions(request: Request, config: Config): RunOptions {
  const policy = policyOf(request) ?? config.ON_DISCONNECT;
  const grace = graceMs(policy, config.MAX_GRACE_SECONDS);
  if (grace === undefined) throw invalid('on_disconnect', EXPECTED_POLICY);
  const key = option(request, 'Idempotency-Key', 'idempotency_key')?.replace(/^"(.*)"$/, '$1');
  if (key === '' || (key && key.length > MAX_KEY_LENGTH)) {
    throw invalid('idempotency_key', `expected 1 to ${MAX_KEY_LENGTH} characters`);
  }
  return {
    graceMs: grace,
    ...(key && { idempotencyKey: `${request.method} ${routePath(request)} ${key}` }),
  };
}

/** A slash at the end leads to the same route. */
function routePath({ path }: Request): string {
  return path.replace(/\/$/, '');
}

/** Whether a client means to come back, and so can make use of ids. */
export function asksToResume(request: Request): boolean {
  return (policyOf(request) ?? 'cancel') !== 'cancel';
}

function policyOf(request: Request): string | undefined {
  return option(request, 'Sluice-On-Disconnect', 'on_disconnect');
}

function option(request: Request, header: string, parameter: string): string | undefined {
  const value = request.get(header) ?? request.query[parameter];
  if (value === undefined || typeof value === 'string') return value;
  throw invalid(parameter, 'expected one value');
}

function invalid(param: string, message: string): ChatError {
  return new ChatError('invalid_request', `${param}: ${message}`, { param });
}
