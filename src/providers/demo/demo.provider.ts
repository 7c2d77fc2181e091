import { concat, defer, throwError, type Observable } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { ChatProvider, ChatRequest, Frame } from '../chat-provider.js';
import { DEMO_MODELS } from './demo-models.js';
import { asFrames } from './frames.js';
import { wait } from './steps.js';

/** Time to first token of the models that have none of their own. */
const FIRST_TOKEN_MS = 300;

/**
 * A provider without a service behind it, for a first look and for rehearsing what a client has to
 * cope with. It opens no socket; unsubscribing clears its one timer.
 */
export class DemoProvider implements ChatProvider {
  readonly models = Object.keys(DEMO_MODELS) as [string, ...string[]];
  readonly closed = true;

  constructor(readonly name: string) {}

  stream(model: string, request: ChatRequest): Observable<Frame> {
    const played = this.models.includes(model) ? DEMO_MODELS[model] : undefined;
    if (!played) {
      const names = this.models.map((name) => `${this.name}/${name}`).join(', ');
      const message = `There is no model ${this.name}/${model}. There are ${names}.`;
      return throwError(() => new ChatError('model_not_found', message, { param: 'model' }));
    }
    if ((request.n ?? 1) > 1) {
      const message = 'The demo provider gives one answer: n must be 1.';
      return throwError(() => new ChatError('invalid_request', message, { param: 'n' }));
    }
    return concat(
      wait(played.firstTokenMs ?? FIRST_TOKEN_MS),
      defer(() => played.play(request)),
    ).pipe(asFrames(model, request));
  }
}
