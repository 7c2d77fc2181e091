import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config.js';
import { ConfigFile } from '../config/file/config-file.js';
import type { BulkheadSettings } from '../config/file/providers.schema.js';
import type { Settings } from '../config/settings.js';
import {
  CHAT_PROVIDER_FACTORY,
  type ChatProviderFactory,
  type ChatRequest,
} from '../providers/chat-provider.js';
import type { UpstreamObserver } from '../providers/upstream-observer.js';
import { Generation } from './generation.js';
import type { Route, Target } from './route.js';
import { Routes, type TargetLabels } from './routes.js';
import { TargetHealth } from './target-health.js';

/** Which targets answer to a model's name, and how a generation is asked of them. */
@Injectable()
export class RouterService {
  private routes: Routes;

  constructor(
    private readonly file: ConfigFile,
    private readonly health: TargetHealth,
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
   * What the route's targets make of the request.
   * @param request as {@link prepareRequest} made it
   */
  generate(route: Route, request: ChatRequest, observer?: UpstreamObserver): Generation {
    const bulkheadOf = (target: Target) => this.bulkheadOf(target);
    return new Generation(route, request, this.health, bulkheadOf, observer);
  }

  /** The provider's own of now, on earlier routes too: it is for all that a target gets together. */
  private bulkheadOf({ provider, bulkhead }: Target): BulkheadSettings | undefined {
    const configured = this.file.current.providers.find(({ name }) => name === provider.name);
    return configured ? configured.bulkhead : bulkhead;
  }
}
