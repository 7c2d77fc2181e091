import { Observable, type MonoTypeOperatorFunction } from 'rxjs';
import { ChatError, toChatError, truncated } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import { expectSuccess, hasContent } from '../providers/chunk.js';

/** Frames without content that are kept; who sends more says nothing new with them. */
const MAX_HELD = 100;

/** What those may have as JSON, in characters: they are small, or something is wrong. */
const MAX_HELD_LENGTH = 1_000_000;

/**
 * Holds frames back until an answer has begun: with content, or with a finish reason without any.
 * What comes before, such as a role or Azure's prompt filter, says nothing yet, so that an attempt
 * that fails can still be made anew. An attempt that ends, or takes too long, before that has failed.
 *
 * @param ms how long it may take
 * @param onBegin is called once, before the first frame is let through
 */
export function holdBack(ms: number, onBegin: () => void): MonoTypeOperatorFunction<Frame> {
  return (source) =>
    new Observable((subscriber) => {
      let held: Frame[] | undefined = [];
      let heldLength = 0;
      const timer = setTimeout(() => {
        const message = `The provider sent no content within ${Math.ceil(ms)} ms.`;
        subscriber.error(new ChatError('timeout_first_token', message));
      }, Math.ceil(ms));

      const hold = (frame: Frame, frames: Frame[]) => {
        if (!begins(frame)) {
          if (frames.length === MAX_HELD) return;
          heldLength += frame.json?.length ?? 0;
          if (heldLength > MAX_HELD_LENGTH) {
            const message = `The provider sent over ${MAX_HELD_LENGTH} characters without content.`;
            throw new ChatError('provider_malformed', message);
          }
          frames.push(frame);
          return;
        }
        held = undefined;
        clearTimeout(timer);
        onBegin();
        for (const each of frames) subscriber.next(each);
        subscriber.next(frame);
      };
      subscriber.add(() => clearTimeout(timer));
      subscriber.add(
        source.subscribe({
          next: (frame) => {
            if (!held) {
              subscriber.next(frame);
              return;
            }
            try {
              hold(frame, held);
            } catch (error) {
              subscriber.error(toChatError(error));
            }
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => {
            if (held) subscriber.error(truncated());
            else subscriber.complete();
          },
        }),
      );
    });
}

/** @throws {ChatError} `provider_error` when it has a finish reason that is a failure */
function begins({ chunk }: Frame): boolean {
  const { choices } = chunk;
  if (!choices) return false;
  if (choices.some(({ delta }) => hasContent(delta))) return true;
  for (const { finish_reason } of choices) expectSuccess(finish_reason);
  return choices.some(({ finish_reason }) => finish_reason);
}
