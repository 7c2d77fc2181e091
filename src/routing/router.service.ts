import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { CONFIG, type Config } from '../config/config.js';
import { ConfigFile } from '../config/file/config-file.js';
import type { Settings } from '../config/settings.js';
import {
  CHAT_PROVIDER_FACTORY,
  type ChatProviderFactory,
  type ChatRequest,
  type Frame,
} from '../providers/chat-provider.js';
import type { UpstreamObserver } from '../providers/upstream-observer.js';
import { deadlines } from './deadlines.js';
import type { Route } from './route.js';
import { Routes, type TargetLabels } from './routes.js';

/** Which targets answer to a model's name, and how a generation is asked of them. */
@Injectable()
export class RouterService {
  private routes: Routes;

  constructor(
    file: ConfigFile,
    @Inject(CONFIG) { DEFAULT_MODEL: model, SYSTEM_PROMPT: systemPrompt }: Config,
    @Inject(CHAT_PROVIDER_FACTORY) createProvider: ChatProviderFactory,
  ) {
    const routesBy = (settings: Settings) =>
      new Routes(settings, createProvider, { model, systemPrompt });
    this.routes = routesBy(file.current);
    file.changes.subscribe((settings) => (this.routes = routesBy(settings)));
  }

  /** Where a model's name leads to now; the default's route without a name. */
  resolve(name?: string): Route {
    return this.routes.resolve(name);
  }

  /** The names of all models that are worth listing. */
  listModels(): string[] {
    return this.routes.list();
  }

  /** What metrics call a target. */
  labelsOf(target: string): TargetLabels {
    return this.routes.labelsOf(target);
  }

  /**
   * A cold stream of what the route's targets generate, within the deadlines.
   * @param request as {@link prepareRequest} made it
   */
  generate(route: Route, request: ChatRequest, observer?: UpstreamObserver): Observable<Frame> {
    const { provider, model, timeouts } = route.targets[0];
    return provider
      .stream(model, request, { connectMs: timeouts.connect, observer })
      .pipe(deadlines(timeouts));
  }
}
