import { Observable, type Subscriber } from 'rxjs';
import { ChatError, toChatError, truncated } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import { expectSuccess, hasContent } from '../providers/chunk.js';

/** Frames without content that are kept; who sends more says nothing new with them. */
const MAX_HELD = 100;

/** What those may have as JSON, in characters: they are small, or something is wrong. */
const MAX_HELD_LENGTH = 1_000_000;

export interface AnswerTerms {
  /** How long it may take until the answer begins, in milliseconds. */
  firstTokenMs: number;
  /** How long it may then be without content, in milliseconds. */
  idleMs: number;
  /** Is called once, before the first frame is let through. */
  onBegin: () => void;
}

/**
 * An attempt at an answer, whose frames go to `answer` once it has begun: with content, or with a
 * finish reason without any. What comes before, such as a role or Azure's prompt filter, says nothing
 * yet and is held back, so that an attempt that fails can still be made anew. An attempt that ends,
 * or takes too long, before that has failed.
 *
 * From then on it fails when it has no content for too long: no ping and no empty frame keeps a dead
 * one alive. There is one timer, which looks when content last came; it is not set anew for every
 * token.
 */
export function begunAnswer(
  frames: Observable<Frame>,
  answer: Subscriber<Frame>,
  { firstTokenMs, idleMs, onBegin }: AnswerTerms,
): Observable<never> {
  return new Observable((attempt) => {
    let held: Frame[] | undefined = [];
    let heldLength = 0;
    let contentAt = 0;

    const checkIdle = () => {
      const left = contentAt + idleMs - performance.now();
      if (left > 0) {
        timer = setTimeout(checkIdle, Math.ceil(left));
      } else {
        const message = `The provider sent no content for ${idleMs} ms.`;
        attempt.error(new ChatError('timeout_idle', message));
      }
    };
    let timer = setTimeout(() => {
      const message = `The provider sent no content within ${Math.ceil(firstTokenMs)} ms.`;
      attempt.error(new ChatError('timeout_first_token', message));
    }, Math.ceil(firstTokenMs));
    attempt.add(() => clearTimeout(timer));

    const hold = (frame: Frame, others: Frame[]) => {
      if (!begins(frame)) {
        if (others.length === MAX_HELD) return;
        heldLength += frame.json?.length ?? 0;
        if (heldLength > MAX_HELD_LENGTH) {
          const message = `The provider sent over ${MAX_HELD_LENGTH} characters without content.`;
          throw new ChatError('provider_malformed', message);
        }
        others.push(frame);
        return;
      }
      held = undefined;
      clearTimeout(timer);
      contentAt = performance.now();
      timer = setTimeout(checkIdle, idleMs);
      onBegin();
      for (const each of others) answer.next(each);
      answer.next(frame);
    };
    attempt.add(
      frames.subscribe({
        next: (frame) => {
          // What is emitted while it is being subscribed to can't be unsubscribed from yet.
          if (attempt.closed) return;
          if (!held) {
            if (isContent(frame)) contentAt = performance.now();
            answer.next(frame);
            return;
          }
          try {
            hold(frame, held);
          } catch (error) {
            attempt.error(toChatError(error));
          }
        },
        error: (error: unknown) => attempt.error(error),
        complete: () => {
          if (held) attempt.error(truncated());
          else attempt.complete();
        },
      }),
    );
  });
}

function isContent(frame: Frame): boolean {
  // A chunk that is like another is not looked into for its text.
  if (frame.text) return true;
  return frame.chunk.choices?.some(({ delta }) => hasContent(delta)) ?? false;
}

/** @throws {ChatError} `provider_error` when it has a finish reason that is a failure */
function begins(frame: Frame): boolean {
  if (isContent(frame)) return true;
  const { choices } = frame.chunk;
  if (!choices) return false;
  for (const { finish_reason } of choices) expectSuccess(finish_reason);
  return choices.some(({ finish_reason }) => finish_reason);
}
