import { ChatError } from '../errors/chat-error.js';

/** A target that was not asked: its breaker is open, or too many others wait for it. */
export class TargetUnavailable extends ChatError {
  declare readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    super('provider_unavailable', message, { status: 503, retryAfterMs });
  }
}
