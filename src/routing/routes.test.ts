import { describe, expect, it } from '@jest/globals';
import { EMPTY } from 'rxjs';
import { parseEnvironment } from '../config/config.js';
import { fileSchema } from '../config/file/file.schema.js';
import { settle, type ProviderSettings } from '../config/settings.js';
import { Routes } from './routes.js';

const LOCAL = {
  type: 'openai',
  base_url: 'http://localhost/v1',
  models: ['small', 'large'],
};

/** A provider that has the models of its settings; the demo has one, and no other. */
function createProvider({ name, service }: ProviderSettings) {
  const closed = service.type === 'demo';
  const models = closed ? (['answer'] as const) : service.models;
  return { name, models, closed, stream: () => EMPTY };
}

interface Given {
  providers?: object;
  models?: object;
  model?: string;
  systemPrompt?: string;
}

function routes({ providers = { local: LOCAL }, models, model, systemPrompt }: Given) {
  const file = fileSchema.parse({ providers, models });
  const settings = settle(parseEnvironment({ TOTAL_TIMEOUT_MS: '9000' }), file);
  return new Routes(settings, createProvider, { model, systemPrompt });
}

function targetsOf(given: Given, name?: string): string[] {
  return routes(given)
    .resolve(name)
    .targets.map((target) => target.name);
}

describe(Routes.name, () => {
  const providers = { local: LOCAL, other: { ...LOCAL, models: ['o1'] } };

  it.each([
    ['no name', undefined, 'local/small'],
    ['a provider', 'other', 'other/o1'],
    ['a provider and a slash', 'other/', 'other/o1'],
    ['a model of a provider', 'other/a/b:c', 'other/a/b:c'],
    ['any other name', 'gpt-4o', 'local/gpt-4o'],
    ['any other name with a slash', 'meta-llama/x', 'local/meta-llama/x'],
  ])('leads %s to one target', (_, name, target) => {
    expect(targetsOf({ providers }, name)).toEqual([target]);
  });

  it('leads an alias to its targets in their order, before all other names', () => {
    const models = { 'local/small': { targets: ['other', 'local/large', 'local'] } };
    const aliased = ['other/o1', 'local/large', 'local/small'];
    expect(targetsOf({ providers, models }, 'local/small')).toEqual(aliased);
    expect(targetsOf({ providers, models }, 'local')).toEqual(['local/small']);
  });

  it('prefers the very name, then the pattern with the longest text before its *', () => {
    const models = {
      '*': { targets: ['other/any'] },
      'gpt-*': { targets: ['other/gpt'] },
      'gpt-4*-mini': { targets: ['other/mini'] },
      'gpt-4o-mini': { targets: ['other/exact'] },
    };
    const leads = (name: string) => targetsOf({ providers, models }, name);
    expect(leads('gpt-4o-mini')).toEqual(['other/exact']);
    expect(leads('gpt-4.1-mini')).toEqual(['other/mini']);
    expect(leads('gpt-4.1')).toEqual(['other/gpt']);
    expect(leads('gpt-')).toEqual(['other/gpt']);
    expect(leads('local')).toEqual(['other/any']);
  });

  it("takes a * for any text, and a target's * for the same", () => {
    const models = { 'eu/*': { targets: ['local/*', 'other/x-*-*'] } };
    const leads = (name: string) => targetsOf({ providers, models }, name);
    expect(leads('eu/a/$&')).toEqual(['local/a/$&', 'other/x-a/$&-a/$&']);
    expect(leads('eu/')).toEqual(['local/small', 'other/x--']);
    expect(leads('eu')).toEqual(['local/eu']);
  });

  it('does not overlap what stands before a * with what stands after it', () => {
    const models = { 'aba*ba': { targets: ['other/*'] } };
    expect(targetsOf({ providers, models }, 'ababa')).toEqual(['other/o1']);
    expect(targetsOf({ providers, models }, 'aba')).toEqual(['local/aba']);
  });

  it('may have an alias for its default model, whose first provider answers for other names', () => {
    const models = { fast: { targets: ['other/turbo', 'local'] } };
    const given = { providers, models, model: 'fast' };
    expect(targetsOf(given)).toEqual(['other/turbo', 'local/small']);
    expect(targetsOf(given, 'gpt-4o')).toEqual(['other/gpt-4o']);
  });

  it('leads what no closed provider can have to the default route', () => {
    const models = { fast: { targets: ['demo'], system_prompt: 'Be brief.' } };
    const given = { providers: {}, models, model: 'fast' };
    const sut = routes(given);
    expect(sut.resolve('gpt-4o')).toEqual(sut.resolve('fast'));
    expect(targetsOf(given, 'demo/nothing')).toEqual(['demo/nothing']);
  });

  it('lists aliases without patterns, then each provider and its models, nothing twice', () => {
    const models = {
      fast: { targets: ['local'] },
      'gpt-*': { targets: ['local'] },
      other: { targets: ['local'] },
    };
    expect(routes({ providers, models }).list()).toEqual([
      'fast',
      'other',
      'local',
      'local/small',
      'local/large',
      'other/o1',
    ]);
  });

  it("has an alias's own prompt, parameters and attempts, else what holds for all", () => {
    const models = {
      own: {
        targets: ['local'],
        system_prompt: 'Be brief.',
        defaults: { temperature: 0 },
        pinned: { max_tokens: 5 },
        retry: { attempts: 7 },
      },
      silent: { targets: ['local'], system_prompt: '' },
      plain: { targets: ['local'] },
    };
    const sut = routes({ models, systemPrompt: 'Be kind.' });
    expect(sut.resolve('own')).toMatchObject({
      name: 'own',
      attempts: 7,
      systemPrompt: 'Be brief.',
      defaults: { temperature: 0 },
      pinned: { max_tokens: 5 },
    });
    expect(sut.resolve('silent').systemPrompt).toBe('');
    expect(sut.resolve('plain').systemPrompt).toBe('Be kind.');
    expect(sut.resolve('local')).toMatchObject({ name: 'local/small', systemPrompt: 'Be kind.' });
  });

  it("has an alias's timeouts, then the provider's, then the environment's", () => {
    const slow = { ...LOCAL, timeouts: { idle_ms: 700, connect_ms: 70 } };
    const models = { a: { targets: ['slow', 'local'], timeouts: { idle_ms: 5 } } };
    const sut = routes({ providers: { local: LOCAL, slow }, models });
    expect(sut.resolve('slow').targets[0].timeouts).toEqual({
      connect: 70,
      firstToken: 120_000,
      idle: 700,
      total: 9_000,
      write: 30_000,
    });
    const [first, second] = sut.resolve('a').targets;
    expect(first.timeouts).toMatchObject({ connect: 70, idle: 5 });
    expect(second!.timeouts).toMatchObject({ connect: 5_000, idle: 5 });
  });

  it('lets an alias lengthen the time to the first token, but not that of a provider of its own', () => {
    const own = { ...LOCAL, timeouts: { first_token_ms: 1_000 } };
    const targets = ['local', 'own'];
    const models = {
      long: { targets, timeouts: { first_token_ms: 300_000 } },
      short: { targets, timeouts: { first_token_ms: 500 } },
    };
    const sut = routes({ providers: { local: LOCAL, own }, models });
    const timesOf = (name: string) => {
      const { timeouts, targets: found } = sut.resolve(name);
      return [timeouts, ...found.map((target) => target.timeouts)].map((each) => each.firstToken);
    };
    expect(timesOf('long')).toEqual([300_000, 300_000, 1_000]);
    expect(timesOf('short')).toEqual([500, 120_000, 1_000]);
  });

  it('gives a whole request the longest time that one of its targets has', () => {
    const slow = { ...LOCAL, timeouts: { total_ms: 20_000, idle_ms: 1 } };
    const models = { a: { targets: ['local', 'slow'] } };
    const { timeouts } = routes({ providers: { local: LOCAL, slow }, models }).resolve('a');
    expect(timeouts).toMatchObject({ total: 20_000, idle: 60_000 });
  });

  it('gives targets what their providers say of load and failures', () => {
    const local = { ...LOCAL, max_concurrent: 3, breaker: 'off' };
    const [target] = routes({ providers: { local } }).resolve('local/large').targets;
    expect(target).toMatchObject({
      model: 'large',
      breaker: 'off',
      bulkhead: { maxConcurrent: 3, queueSize: 100, queueTimeoutMs: 10_000 },
    });
  });
});
