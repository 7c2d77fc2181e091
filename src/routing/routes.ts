import { findAlias, splitName, type AliasMatch } from '../config/file/aliases.js';
import { withTimeouts, type Timeouts } from '../config/file/timeouts.schema.js';
import type { ProviderSettings, Settings } from '../config/settings.js';
import type { ChatProvider, ChatProviderFactory } from '../providers/chat-provider.js';
import type { Route, Target } from './route.js';

/** What the environment says of requests that no alias says otherwise of. */
export interface RouteDefaults {
  /** The name that stands for a request without one. */
  model?: string;
  systemPrompt?: string;
}

/** A target as metrics name it, which must have few names. */
export interface TargetLabels {
  /** OpenTelemetry's name of the provider, else its own. */
  provider: string;
  model: string;
  /** `<provider>/<model>` by their own names. */
  target: string;
}

/** All models together that nobody configured: callers name them as they like. */
const OTHER = 'other';

/** Names whose routes are remembered at the most. */
const MAX_RESOLVED = 1_000;

type ConfiguredProvider = ProviderSettings & { provider: ChatProvider };

/** Where each name leads to by one version of the settings, which never changes. */
export class Routes {
  private readonly providers: readonly [ConfiguredProvider, ...ConfiguredProvider[]];
  private readonly defaultRoute: Route;
  /** The names of all targets that the settings name. */
  private readonly configured: ReadonlySet<string>;
  /** Each name is looked up several times a request, and its route kept as long as its runs. */
  private readonly resolved = new Map<string, Route>();

  constructor(
    private readonly settings: Settings,
    createProvider: ChatProviderFactory,
    private readonly defaults: RouteDefaults,
  ) {
    const [first, ...others] = settings.providers;
    const create = (provider: ProviderSettings) => ({
      ...provider,
      provider: createProvider(provider),
    });
    this.providers = [create(first), ...others.map(create)];
    this.configured = new Set([
      ...this.providers.flatMap(({ provider: { name, models } }) =>
        models.map((model) => `${name}/${model}`),
      ),
      ...settings.aliases.flatMap(({ targets }) =>
        targets.filter((name) => !name.includes('*')).map((name) => this.find(name)!.name),
      ),
    ]);
    this.defaultRoute = this.routeTo([targetOf(this.providers[0])]);
    if (defaults.model !== undefined) this.defaultRoute = this.resolve(defaults.model);
  }

  /**
   * An alias means its targets, a provider's name its default model, `<provider>/<model>` that
   * model, and any other name the model of that name at the default provider, so that unchanged
   * clients work.
   */
  resolve(name?: string): Route {
    if (name === undefined) return this.defaultRoute;
    const known = this.resolved.get(name);
    if (known) return known;
    const route = this.lookUp(name);
    if (this.resolved.size === MAX_RESOLVED) this.resolved.clear();
    this.resolved.set(name, route);
    return route;
  }

  /** The names of all models that are worth listing: patterns stand for too many. */
  list(): string[] {
    const aliases = this.settings.aliases.map(({ name }) => name);
    const models = this.providers.flatMap(({ provider: { name, models } }) => [
      name,
      ...models.map((model) => `${name}/${model}`),
    ]);
    return [...new Set([...aliases.filter((name) => !name.includes('*')), ...models])];
  }

  /** @param target the name of a target, perhaps of earlier settings */
  labelsOf(target: string): TargetLabels {
    const [name, model] = splitName(target) as [string, string];
    const configured = this.providers.find((candidate) => candidate.name === name);
    const known = this.configured.has(target) ? model : OTHER;
    return {
      provider: configured?.provider.conventionalName ?? name,
      model: known,
      target: `${name}/${known}`,
    };
  }

  private lookUp(name: string): Route {
    const match = findAlias(this.settings.aliases, name);
    if (match) return this.routeOf(match);
    const target = this.find(name);
    if (target) return this.routeTo([target]);
    const { provider } = this.defaultRoute.targets[0];
    if (provider.closed) return this.defaultRoute;
    return this.routeTo([this.find(`${provider.name}/${name}`)!]);
  }

  private routeOf({ alias, matched }: AliasMatch): Route {
    const { name, attempts, timeouts, systemPrompt, defaults, pinned } = alias;
    const targets = alias.targets.map((asked) =>
      this.find(
        asked.replaceAll('*', () => matched),
        timeouts,
      )!,
    ) as [Target, ...Target[]];
    const route = this.routeTo(targets);
    return {
      ...route,
      name,
      attempts: attempts ?? route.attempts,
      timeouts: withTimeouts(route.timeouts, timeouts),
      systemPrompt: systemPrompt ?? route.systemPrompt,
      defaults,
      pinned,
    };
  }

  private routeTo(targets: [Target, ...Target[]]): Route {
    return {
      name: targets[0].name,
      targets,
      attempts: this.settings.attempts,
      timeouts: this.timeoutsOf(targets),
      systemPrompt: this.defaults.systemPrompt,
    };
  }

  /** Time for the slowest. A provider's own time to the first token is for one attempt. */
  private timeoutsOf(targets: readonly Target[]): Timeouts {
    const timeouts = longest(targets.map((target) => target.timeouts));
    return { ...timeouts, firstToken: Math.max(timeouts.firstToken, this.settings.firstTokenMs) };
  }

  /** The target that `<provider>` or `<provider>/<model>` names. */
  private find(name: string, ofAlias?: Partial<Timeouts>): Target | undefined {
    const [head, model] = splitName(name);
    const configured = this.providers.find((candidate) => candidate.name === head);
    return configured && targetOf(configured, model, ofAlias);
  }
}

function targetOf(
  configured: ConfiguredProvider,
  model?: string,
  ofAlias: Partial<Timeouts> = {},
): Target {
  const { provider, hasOwnFirstToken, breaker, bulkhead } = configured;
  model ||= provider.models[0];
  const timeouts = withTimeouts(configured.timeouts, ofAlias);
  // An alias's is for all attempts together: those are cut where it is shorter.
  const { firstToken } = configured.timeouts;
  timeouts.firstToken = hasOwnFirstToken ? firstToken : Math.max(firstToken, timeouts.firstToken);
  return { provider, model, name: `${provider.name}/${model}`, timeouts, breaker, bulkhead };
}

function longest(timeouts: readonly Timeouts[]): Timeouts {
  const of = (name: keyof Timeouts) => Math.max(...timeouts.map((each) => each[name]));
  return {
    connect: of('connect'),
    firstToken: of('firstToken'),
    idle: of('idle'),
    total: of('total'),
    write: of('write'),
  };
}
