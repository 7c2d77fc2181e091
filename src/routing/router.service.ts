import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { CONFIG, type Config } from '../config/config.js';
import {
  CHAT_PROVIDERS,
  type ChatProvider,
  type ChatRequest,
  type Frame,
} from '../providers/chat-provider.js';
import { deadlines } from './deadlines.js';
import { withSystemPrompt } from './system-prompt.js';

/** One provider and one of its models. */
export interface Target {
  provider: ChatProvider;
  model: string;
  /** `<provider>/<model>`, a name that leads to this target again. */
  name: string;
}

/** Which provider answers to a model's name, and how a generation is asked of it. */
@Injectable()
export class RouterService {
  private readonly defaultTarget: Target;

  constructor(
    @Inject(CHAT_PROVIDERS) private readonly providers: readonly [ChatProvider, ...ChatProvider[]],
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.defaultTarget = targetOf(providers[0]);
    if (config.DEFAULT_MODEL !== undefined) this.defaultTarget = this.resolve(config.DEFAULT_MODEL);
  }

  /**
   * A provider's name means its default model, `<provider>/<model>` that model, and any other name
   * the model of that name at the default provider, so that unchanged clients work.
   */
  resolve(name?: string): Target {
    if (name === undefined) return this.defaultTarget;
    const slash = name.indexOf('/');
    const head = slash === -1 ? name : name.slice(0, slash);
    const provider = this.providers.find((candidate) => candidate.name === head);
    if (provider) return targetOf(provider, slash === -1 ? '' : name.slice(slash + 1));
    const fallback = this.defaultTarget.provider;
    return fallback.closed ? this.defaultTarget : targetOf(fallback, name);
  }

  /** The names of all models that are worth listing. */
  listModels(): string[] {
    return this.providers.flatMap(({ name, models }) => [
      name,
      ...models.map((model) => `${name}/${model}`),
    ]);
  }

  /** A cold stream of the target's output, within the deadlines. */
  generate({ provider, model }: Target, request: ChatRequest): Observable<Frame> {
    const { FIRST_TOKEN_TIMEOUT_MS, IDLE_TIMEOUT_MS, TOTAL_TIMEOUT_MS } = this.config;
    return provider.stream(model, withSystemPrompt(request, this.config.SYSTEM_PROMPT)).pipe(
      deadlines({
        firstToken: FIRST_TOKEN_TIMEOUT_MS,
        idle: IDLE_TIMEOUT_MS,
        total: TOTAL_TIMEOUT_MS,
      }),
    );
  }
}

function targetOf(provider: ChatProvider, model = ''): Target {
  model ||= provider.models[0];
  return { provider, model, name: `${provider.name}/${model}` };
}
