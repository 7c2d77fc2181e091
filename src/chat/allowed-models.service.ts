import { Inject, Injectable } from '@nestjs/common';
import type { Caller } from '../access/caller.js';
import { mayAsk } from '../access/may-ask.js';
import { CONFIG, type Config } from '../config/config.js';
import { ChatError } from '../errors/chat-error.js';
import { RouterService } from '../routing/router.service.js';

/** The models that a caller may ask for. A request without one asks for the default model. */
@Injectable()
export class AllowedModels {
  constructor(
    private readonly router: RouterService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** The names of those that are worth listing. */
  list(caller: Caller): string[] {
    return this.router.listModels().filter((name) => mayAsk(caller, name));
  }

  has(caller: Caller, model?: string | null): boolean {
    return mayAsk(caller, this.nameOf(model));
  }

  /** @throws {ChatError} `permission_denied`, whether or not there is such a model */
  expect(caller: Caller, model?: string | null) {
    if (this.has(caller, model)) return;
    const message = `This key may not use the model ${JSON.stringify(this.nameOf(model))}.`;
    throw new ChatError('permission_denied', message, { param: 'model' });
  }

  private nameOf(model?: string | null): string {
    return model ?? this.config.DEFAULT_MODEL ?? this.router.resolve().name;
  }
}
