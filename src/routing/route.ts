import type { BreakerSettings } from '../config/file/breaker.schema.js';
import type { BulkheadSettings } from '../config/file/providers.schema.js';
import type { Timeouts } from '../config/file/timeouts.schema.js';
import type { ChatProvider } from '../providers/chat-provider.js';

/** One provider and one of its models, and how it is treated. */
export interface Target {
  provider: ChatProvider;
  model: string;
  /** `<provider>/<model>`, a name that leads to this target again. */
  name: string;
  /**
   * For one attempt at it: the route's own, else its provider's, else the environment's; to the
   * first token its provider's, else the longer one of the route's and the environment's.
   */
  timeouts: Timeouts;
  breaker: BreakerSettings | 'off';
  /**
   * Undefined where it may get any number of requests at a time. Holds for as long as no reload changes
   * it.
   */
  bulkhead?: BulkheadSettings;
}

/** Whether its provider takes the model: one that is closed has no other than those it lists. */
export function isServed({ provider, model }: Target): boolean {
  return !provider.closed || provider.models.includes(model);
}

/** What a model's name stands for. It holds what it needs: a reload changes only later ones. */
export interface Route {
  /** The alias, or the name of the only target. */
  name: string;
  /** In the order in which they are tried. */
  targets: readonly [Target, ...Target[]];
  /** How often a target is tried, the first time included. */
  attempts: number;
  /**
   * For the request as a whole, all attempts included: the route's own, else the longest that a
   * target has; to the first token never less than the environment's.
   */
  timeouts: Timeouts;
  /** Goes in front of a conversation that brings no instructions. */
  systemPrompt?: string;
  /** Parameters where the request says nothing. */
  defaults?: Readonly<Record<string, unknown>>;
  /** Parameters whatever the request says. */
  pinned?: Readonly<Record<string, unknown>>;
}
