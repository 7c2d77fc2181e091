import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config.js';
import type { ChatRequest } from '../providers/chat-provider.js';
import { RouterService } from '../routing/router.service.js';
import { Run } from './run.js';

@Injectable()
export class RunsService {
  constructor(
    private readonly router: RouterService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** A run that starts to generate when it is first viewed. */
  create(model: string | undefined, request: ChatRequest): Run {
    const target = this.router.resolve(model);
    return new Run({
      source: this.router.generate(target, request),
      target: target.name,
      choices: request.n ?? 1,
      commitAfterMs: this.config.COMMIT_AFTER_MS,
      maxLength: this.config.MAX_RUN_BYTES,
    });
  }
}
