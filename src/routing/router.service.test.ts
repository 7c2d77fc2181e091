import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { NEVER, Subject, throwError, type Observable } from 'rxjs';
import { parseEnvironment } from '../config/config.js';
import type { ConfigFile } from '../config/file/config-file.js';
import { fileSchema } from '../config/file/file.schema.js';
import { settle, type Settings } from '../config/settings.js';
import { ChatError } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import { RouterService } from './router.service.js';
import { TargetHealth } from './target-health.js';

const config = parseEnvironment({});

function settings(provider: object): Settings {
  const local = { type: 'ollama', models: ['m'], ...provider };
  return settle(config, fileSchema.parse({ providers: { local } }));
}

describe(RouterService.name, () => {
  let sut: RouterService;
  let health: TargetHealth;
  let reload: (changed: Settings) => void;
  let play: Observable<Frame>;

  beforeEach(() => {
    jest.useFakeTimers();
    health = new TargetHealth();
    const changes = new Subject<Settings>();
    const file = { current: settings({ max_concurrent: 10 }), changes };
    reload = (changed) => changes.next((file.current = changed));
    sut = new RouterService(file as unknown as ConfigFile, health, config, ({ name }) => ({
      name,
      models: ['m'],
      stream: () => play,
    }));
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const generate = () =>
    sut
      .generate(sut.resolve('local'), { messages: [] })
      .frames.subscribe({ error: () => undefined });

  const standing = () => {
    const { active, waiting } = health.of('local/m').bulkhead;
    return { active, waiting };
  };

  it('should hold a retry of what began before a reload to the cap that holds now', () => {
    play = throwError(() => new ChatError('provider_unavailable', 'down'));
    const retrying = generate();
    play = NEVER;
    const others = [generate(), generate(), generate()];
    reload(settings({ max_concurrent: 2 }));
    others.push(generate(), generate());
    expect(standing()).toEqual({ active: 3, waiting: 2 });

    jest.advanceTimersByTime(250);
    expect(standing()).toEqual({ active: 3, waiting: 3 });
    reload(settings({}));
    others.push(generate());
    expect(standing()).toEqual({ active: 7, waiting: 0 });
    for (const each of [retrying, ...others]) each.unsubscribe();
  });

  it('should hold what goes on with a provider that a reload took away to its last cap', () => {
    reload(settings({ max_concurrent: 1 }));
    play = throwError(() => new ChatError('provider_unavailable', 'down'));
    const retrying = [generate(), generate()];
    play = NEVER;
    reload(settle(config, fileSchema.parse({})));
    jest.advanceTimersByTime(250);
    expect(standing()).toEqual({ active: 1, waiting: 1 });
    for (const each of retrying) each.unsubscribe();
  });
});
