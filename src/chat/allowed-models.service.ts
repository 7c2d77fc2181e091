import { Inject, Injectable } from '@nestjs/common';
import type { Caller } from '../access/caller.js';
import { mayAsk } from '../access/may-ask.js';
import { CONFIG, type Config } from '../config/config.js';
import { ChatError } from '../errors/chat-error.js';
import { RouterService } from '../routing/router.service.js';
import type { Run } from '../runs/run.js';

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

  /** Whether a caller may have a run: by the model that it began with, as the default can change. */
  hasRun(caller: Caller, run: Run): boolean {
    // Without a name for it the default is one target alone.
    return mayAsk(caller, run.model ?? this.config.DEFAULT_MODEL ?? run.state.target);
  }

  /** @throws {ChatError} `permission_denied`, whether or not there is such a model */
  expect(caller: Caller, model?: string | null) {
    const name = model ?? this.config.DEFAULT_MODEL ?? this.router.resolve().name;
    if (mayAsk(caller, name)) return;
    const message = `This key may not use the model ${JSON.stringify(name)}.`;
    throw new ChatError('permission_denied', message, { param: 'model' });
  }
}
