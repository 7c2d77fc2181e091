import { z } from 'zod';
import { whole } from './numbers.js';

/** How long upstream, and a client that is written to, may take; all in milliseconds. */
export interface Timeouts {
  /** To connect to the provider. */
  connect: number;
  /** From the request to the first content. */
  firstToken: number;
  /** From content to content. */
  idle: number;
  /** From the request to the end. */
  total: number;
  /** How long a client may read nothing while something waits for it. */
  write: number;
}

/** The `timeouts` of a provider or an alias: those that differ from what holds without them. */
export const timeoutsSchema = z
  .strictObject({
    connect_ms: whole().optional(),
    first_token_ms: whole().optional(),
    idle_ms: whole().optional(),
    total_ms: whole().optional(),
    write_ms: whole().optional(),
  })
  .transform((ms): Partial<Timeouts> => ({
    connect: ms.connect_ms,
    firstToken: ms.first_token_ms,
    idle: ms.idle_ms,
    total: ms.total_ms,
    write: ms.write_ms,
  }));

/** `timeouts`, with those that `own` has in their place. */
export function withTimeouts(timeouts: Timeouts, own: Partial<Timeouts> = {}): Timeouts {
  return {
    connect: own.connect ?? timeouts.connect,
    firstToken: own.firstToken ?? timeouts.firstToken,
    idle: own.idle ?? timeouts.idle,
    total: own.total ?? timeouts.total,
    write: own.write ?? timeouts.write,
  };
}
