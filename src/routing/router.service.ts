import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { CONFIG, type Config } from '../config/config.js';
import { DEFAULT_BREAKER } from '../config/file/breaker.schema.js';
import type { Timeouts } from '../config/file/timeouts.schema.js';
import {
  CHAT_PROVIDERS,
  type ChatProvider,
  type ChatRequest,
  type Frame,
} from '../providers/chat-provider.js';
import { deadlines } from './deadlines.js';
import type { Route, Target } from './route.js';
import { withSystemPrompt } from './system-prompt.js';

/** How often a target is tried where an alias says nothing. */
const ATTEMPTS = 3;

/** Which targets answer to a model's name, and how a generation is asked of them. */
@Injectable()
export class RouterService {
  private readonly defaultRoute: Route;
  private readonly timeouts: Timeouts;

  constructor(
    @Inject(CHAT_PROVIDERS) private readonly providers: readonly [ChatProvider, ...ChatProvider[]],
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.timeouts = {
      connect: config.CONNECT_TIMEOUT_MS,
      firstToken: config.FIRST_TOKEN_TIMEOUT_MS,
      idle: config.IDLE_TIMEOUT_MS,
      total: config.TOTAL_TIMEOUT_MS,
      write: config.WRITE_TIMEOUT_MS,
    };
    this.defaultRoute = this.routeTo(providers[0]);
    if (config.DEFAULT_MODEL !== undefined) this.defaultRoute = this.resolve(config.DEFAULT_MODEL);
  }

  /**
   * A provider's name means its default model, `<provider>/<model>` that model, and any other name
   * the model of that name at the default provider, so that unchanged clients work.
   */
  resolve(name?: string): Route {
    if (name === undefined) return this.defaultRoute;
    const slash = name.indexOf('/');
    const head = slash === -1 ? name : name.slice(0, slash);
    const provider = this.providers.find((candidate) => candidate.name === head);
    if (provider) return this.routeTo(provider, slash === -1 ? '' : name.slice(slash + 1));
    const fallback = this.defaultRoute.targets[0].provider;
    return fallback.closed ? this.defaultRoute : this.routeTo(fallback, name);
  }

  /** The names of all models that are worth listing. */
  listModels(): string[] {
    return this.providers.flatMap(({ name, models }) => [
      name,
      ...models.map((model) => `${name}/${model}`),
    ]);
  }

  /** A cold stream of what the route's targets generate, within the deadlines. */
  generate(route: Route, request: ChatRequest): Observable<Frame> {
    const [{ provider, model, timeouts }] = route.targets;
    return provider
      .stream(model, withSystemPrompt(request, route.systemPrompt), {
        connectMs: timeouts.connect,
      })
      .pipe(deadlines(timeouts));
  }

  private routeTo(provider: ChatProvider, model = ''): Route {
    model ||= provider.models[0];
    const name = `${provider.name}/${model}`;
    const { timeouts } = this;
    const target: Target = { provider, model, name, timeouts, breaker: DEFAULT_BREAKER };
    return {
      name,
      targets: [target],
      attempts: ATTEMPTS,
      timeouts,
      systemPrompt: this.config.SYSTEM_PROMPT,
    };
  }
}
