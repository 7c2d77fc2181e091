import { Observable, type MonoTypeOperatorFunction } from 'rxjs';
import { ChatError, type ErrorCode } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import { hasContent } from '../providers/chunk.js';

/** How long a generation may take; all in milliseconds. */
export interface Deadlines {
  /** From the request to the first content. */
  firstToken: number;
  /** From content to content. */
  idle: number;
  /** From the request to the end. */
  total: number;
}

/**
 * Fails a generation that takes too long. Only content counts: no ping and no empty frame keeps a
 * dead one alive. There is one timer, which looks when content last came; it is not set anew for
 * every token.
 */
export function deadlines({ firstToken, idle, total }: Deadlines): MonoTypeOperatorFunction<Frame> {
  return (source) =>
    new Observable((subscriber) => {
      const startedAt = performance.now();
      let contentAt: number | undefined;

      const check = () => {
        const now = performance.now();
        const totalLeft = startedAt + total - now;
        const contentLeft =
          contentAt === undefined ? startedAt + firstToken - now : contentAt + idle - now;
        if (totalLeft <= 0) {
          fail('timeout_total', `The answer took over ${total} ms.`);
        } else if (contentLeft > 0) {
          // Content may come at once, and its idle time ends before `contentLeft` does.
          const next = Math.min(totalLeft, contentLeft, idle);
          timer = setTimeout(check, Math.ceil(next));
        } else if (contentAt === undefined) {
          fail('timeout_first_token', `The provider sent no content within ${firstToken} ms.`);
        } else {
          fail('timeout_idle', `The provider sent no content for ${idle} ms.`);
        }
      };
      const fail = (code: ErrorCode, message: string) =>
        subscriber.error(new ChatError(code, message));

      let timer = setTimeout(check, Math.min(firstToken, idle, total));
      subscriber.add(() => clearTimeout(timer));
      subscriber.add(
        source.subscribe({
          next: (frame) => {
            if (frame.chunk.choices?.some(({ delta }) => hasContent(delta)))
              contentAt = performance.now();
            subscriber.next(frame);
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => subscriber.complete(),
        }),
      );
    });
}
