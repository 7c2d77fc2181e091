import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, parseEnvironment } from '../config.js';
import type { Settings } from '../settings.js';
import { ConfigFile } from './config-file.js';

const OPENAI = 'type: openai, base_url: http://a/v1, models: [m]';

describe(ConfigFile.name, () => {
  let directory: string;
  let path: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-'));
    path = join(directory, 'sluice.yaml');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function open(yaml: string, environment: Record<string, string> = {}): ConfigFile {
    writeFileSync(path, yaml);
    return new ConfigFile(parseEnvironment({ CONFIG_FILE: path, ...environment }), environment);
  }

  /** What is said of a file, each with its line. */
  function complaints(yaml: string, environment?: Record<string, string>): string[] {
    try {
      open(yaml, environment);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return (error as Error).message.split('\n').map((line) => line.replace(`${path}:`, ''));
    }
    throw new Error('the file was taken');
  }

  it('has what the example says', () => {
    const example = readFileSync('deploy/sluice.example.yaml', 'utf8');
    const { providers, aliases, keys, jwt, limits } = open(example, {
      GROQ_API_KEY: 'gsk-test',
      WEB_KEY: 'sk-web',
      IDLE_TIMEOUT_MS: '1234',
    }).current;

    expect(providers[0]).toEqual({
      name: 'groq',
      service: {
        type: 'openai',
        baseUrl: 'https://api.groq.com/openai/v1',
        apiKey: 'gsk-test',
        models: ['llama-3.3-70b-versatile', 'llama-3.1-8b-instant'],
      },
      hasOwnFirstToken: true,
      timeouts: {
        connect: 2_000,
        firstToken: 30_000,
        idle: 1_234,
        total: 900_000,
        write: 30_000,
      },
      breaker: { failures: 10, openMs: 5_000 },
      bulkhead: { maxConcurrent: 100, queueSize: 100, queueTimeoutMs: 10_000 },
    });
    expect(providers.map(({ name }) => name)).toEqual(['groq', 'gpu-box', 'rehearsal']);
    expect(aliases.map(({ name }) => name)).toEqual(['fast', 'llama-*', 'gpt-*']);
    expect(aliases[0]).toEqual({
      name: 'fast',
      targets: ['groq/llama-3.3-70b-versatile', 'gpu-box'],
      systemPrompt: 'Answer in one paragraph.',
      defaults: { temperature: 0.2 },
      pinned: { max_tokens: 500 },
      timeouts: { total: 60_000 },
      attempts: 4,
    });
    expect(keys.map(({ name }) => name)).toEqual(['web']);
    expect(jwt?.issuer).toBe('https://login.example.com/');
    expect(limits.models).toEqual([{ name: 'gpt-*', limits: { tokensPerMinute: 20_000 } }]);
  });

  it('may be empty, and so may its sections', () => {
    expect(open('').current.providers.map(({ name }) => name)).toEqual(['demo']);
    expect(open('# nothing yet\nmodels:\nproviders:\nbreaker:\n').current.aliases).toEqual([]);
  });

  it('has a breaker for all providers, of which each has what it says itself', () => {
    const providers = `providers:\n  a: { ${OPENAI} }\n  b: { ${OPENAI}, breaker: { failures: 2 } }`;
    const breakersOf = (yaml: string) => open(yaml).current.providers.map(({ breaker }) => breaker);
    expect(breakersOf(`breaker: off\n${providers}`)).toEqual([
      'off',
      { failures: 2, openMs: 10_000 },
    ]);
    expect(breakersOf(`breaker: { open_ms: 1000 }\n${providers}`)).toEqual([
      { failures: 5, openMs: 1_000 },
      { failures: 2, openMs: 1_000 },
    ]);
  });

  describe('fills the environment in', () => {
    const prompt = (text: string) =>
      `models:\n  a:\n    targets: [demo]\n    system_prompt: ${text}`;
    const promptOf = (text: string, environment: Record<string, string>) =>
      open(prompt(text), environment).current.aliases[0]!.systemPrompt;

    it('wherever a string has ${NAME}', () => {
      expect(promptOf('"${A} and ${B_2}"', { A: 'x: y', B_2: '${A}' })).toBe('x: y and ${A}');
    });

    it('but not for $${…}', () => {
      expect(promptOf('say $${A} for $5', { A: 'x' })).toBe('say ${A} for $5');
    });

    it.each([
      ['an unset variable', '${MISSING}', /MISSING, which is not set$/],
      ['an empty one', '${EMPTY}', /EMPTY, which is not set$/],
      ['what is no name', '${not a name}', /expected \$\{NAME\}/],
    ])('and refuses %s', (_, text, said) => {
      const [only] = complaints(prompt(text), { EMPTY: '' });
      expect(only).toMatch(/^4 models\.a\.system_prompt: /);
      expect(only).toMatch(said);
    });
  });

  describe('refuses, with line and path,', () => {
    it.each([
      ['an unknown section', 'model: {}', '1 model: is unknown here; expected one of providers, '],
      [
        'an unknown key',
        `models:\n  fast:\n    targets: [demo]\n    temprature: 1`,
        '4 models.fast.temprature: is unknown here; expected one of targets, system_prompt, ',
      ],
      ['a missing key', 'models:\n\n  fast: {}', '3 models.fast.targets: expected a list of at '],
      [
        'an alias that is no mapping',
        'models:\n  fast: demo',
        '2 models.fast: expected a mapping with targets, ',
      ],
      ['an empty alias', 'models:\n  fast:', '2 models.fast: expected a mapping with targets, '],
      [
        'a target of a provider that is not there',
        'models:\n  fast:\n    targets:\n      - demo\n      - grok/llama',
        '5 models.fast.targets[1]: expected <provider>/<model>; the providers are demo',
      ],
      [
        'a * in a target without one in the name',
        "models:\n  fast: { targets: ['demo/*'] }",
        "2 models.fast.targets[0]: expected no *: there is none in the alias's name",
      ],
      [
        'a name with two *',
        "models:\n  'a*b*': { targets: [demo] }",
        '2 models["a*b*"]: expected a name with one * at most',
      ],
      [
        'what an alias has no say in',
        'models:\n  gpt-4.1:\n    targets: [demo]\n    pinned:\n      n: 3',
        '5 models["gpt-4.1"].pinned.n: expected another parameter',
      ],
      [
        'a provider of no type',
        'providers:\n  a:\n    models: [m]',
        '2 providers.a.type: expected one of openai, azure, ollama, demo',
      ],
      [
        'a provider of another type',
        'providers:\n  a:\n    models: [m]\n    type: openia',
        '4 providers.a.type: expected one of openai, azure, ollama, demo',
      ],
      [
        'a name with a slash',
        `providers:\n  a/b: { ${OPENAI} }`,
        '2 providers["a/b"]: expected a name of letters, digits, dots, hyphens and underscores',
      ],
      [
        'no models',
        'providers:\n  a:\n    type: openai\n    models: []',
        '4 providers.a.models: expected a list of at least one model',
      ],
      [
        'a base URL of another scheme',
        'providers:\n  a:\n    type: openai\n    base_url: file:///etc/passwd\n    models: [m]',
        '4 providers.a.base_url: expected an http or https URL',
      ],
      [
        'a base URL with a query',
        'providers:\n  a:\n    type: openai\n    base_url: http://a/v1?b=c\n    models: [m]',
        '4 providers.a.base_url: expected a URL without a query or a fragment',
      ],
      [
        'a key with a line break',
        `providers:\n  a: { ${OPENAI}, api_key: "sk\\n" }`,
        '2 providers.a.api_key: expected a key without spaces or line breaks',
      ],
      [
        'a time that is none',
        `providers:\n  a: { ${OPENAI}, timeouts: { idle_ms: 0 } }`,
        '2 providers.a.timeouts.idle_ms: expected a whole number from 1 to 2147483647',
      ],
      [
        'a queue before no limit',
        `providers:\n  a: { ${OPENAI}, queue: { size: 5 } }`,
        '2 providers.a.queue: expected max_concurrent beside it',
      ],
      ['a breaker of another form', 'breaker: on', '1 breaker: expected off, or failures and '],
      ['a list', '- a', '1 expected a mapping with providers, models, '],
      ['a key twice', 'models:\n  a: { targets: [demo] }\n  a: {}', '3 Map keys must be unique'],
      ['an anchor that is not there', 'models:\n  a: *b', '2 There is no such anchor'],
      [
        'an anchor with itself in it',
        'models:\n  a: &a\n    targets: [*a]',
        '3 An anchor has itself',
      ],
      ['too many aliases', `a: &a x\nb: [${'*a, '.repeat(101)}]`, '1 Excessive alias count'],
      ['what is no YAML', 'models:\n  a: [demo', '2 Flow sequence in block collection must be '],
    ])('%s', (_, yaml, said) => {
      const [only, ...others] = complaints(yaml);
      expect(only).toContain(said);
      expect(only!.startsWith(said)).toBe(true);
      expect(others).toEqual([]);
    });

    it('everything at once, by line', () => {
      const yaml =
        'modles: 1\nproviders:\n  a:\n    type: azure\nmodels:\n  b: { targets: 1 }\nc: 1';
      const lines = complaints(yaml).map((line) => /^\d+ [^:]+/.exec(line)![0]);
      expect(lines).toEqual([
        '1 modles',
        '3 providers.a.base_url',
        '3 providers.a.models',
        '6 models.b.targets',
        '7 c',
      ]);
    });

    it('what stands behind an anchor, where it stands', () => {
      const yaml = 'models:\n  a: &a\n    targets: [demo]\n    retry: { attempts: 0 }\n  b: *a';
      expect(complaints(yaml)).toEqual([
        '4 models.a.retry.attempts: expected a whole number from 1 to 100',
        '4 models.b.retry.attempts: expected a whole number from 1 to 100',
      ]);
    });

    it.each([
      ['that is no YAML', 'providers:\n  a: { api_key: |sk-secret }'],
      ['of the wrong kind', 'providers:\n  a: { type: openai, models: [m], api_key: [sk-secret] }'],
      ['in the wrong place', 'models:\n  a: { targets: [sk-secret], retry: sk-secret }'],
      ['from the environment', 'models:\n  a: { targets: ["${KEY}"] }'],
      ['that is a tag', 'providers:\n  a: { api_key: !sk-secret x }'],
      ['that is an anchor', 'providers:\n  a: { api_key: *sk-secret }'],
    ])('a secret %s without telling it', (_, yaml) => {
      expect(complaints(yaml, { KEY: 'sk-secret' }).join('\n')).not.toContain('sk-secret');
    });

    it('a file that is not there', () => {
      const config = parseEnvironment({ CONFIG_FILE: path });
      expect(() => new ConfigFile(config, {})).toThrow(
        new ConfigError(`CONFIG_FILE: expected a file that can be read, ${path} can't (ENOENT)`),
      );
    });
  });

  describe('read again', () => {
    const ALIAS = 'models:\n  fast: { targets: [demo/echo] }';
    let said: string[];

    beforeEach(() => {
      said = [];
      const say = (message: string) => void said.push(message);
      jest.spyOn(Logger.prototype, 'log').mockImplementation(say);
      jest.spyOn(Logger.prototype, 'error').mockImplementation(say);
    });
    afterEach(() => {
      jest.restoreAllMocks();
    });

    function reloading(yaml: string, environment: Record<string, string> = {}) {
      const sut = open(ALIAS, environment);
      const changes: Settings[] = [];
      sut.changes.subscribe((settings) => changes.push(settings));
      writeFileSync(path, yaml);
      sut.reload();
      return { targets: sut.current.aliases.map(({ targets }) => targets), changes };
    }

    it('has what it says now, and tells those who listen', () => {
      const { targets, changes } = reloading('models:\n  fast: { targets: [demo/slow] }');
      expect(targets).toEqual([['demo/slow']]);
      expect(changes).toHaveLength(1);
      expect(said).toEqual([`${path} is read anew.`]);
    });

    it('stays what it was when it is bad', () => {
      const { targets, changes } = reloading('models:\n  fast: { targets: [nobody] }');
      expect(targets).toEqual([['demo/echo']]);
      expect(changes).toEqual([]);
      expect(said[0]).toContain(`${path}:2 models.fast.targets[0]: expected <provider>/<model>`);
    });

    it.each(['', '\n', '# all of it', '---\n'])('stays what it was when it says %j', (yaml) => {
      const { targets, changes } = reloading(yaml);
      expect(targets).toEqual([['demo/echo']]);
      expect(changes).toEqual([]);
      expect(said[0]).toContain(`${path}:1 expected something in it, as before, or {}`);
    });

    it('may say that there is nothing', () => {
      const { targets, changes } = reloading('{}');
      expect(targets).toEqual([]);
      expect(changes).toHaveLength(1);
    });

    it('may stay empty', () => {
      open('').reload();
      expect(said).toEqual([`${path} is read anew.`]);
    });

    it('stays what it was when the default model would be gone', () => {
      const { targets } = reloading('models: {}', { DEFAULT_MODEL: 'fast' });
      expect(targets).toEqual([['demo/echo']]);
      expect(said[0]).toContain('DEFAULT_MODEL: expected its alias or provider to stay');
    });

    it('need not know a default model that it never knew', () => {
      expect(reloading('models: {}', { DEFAULT_MODEL: 'gpt-4o' }).targets).toEqual([]);
    });
  });
});
