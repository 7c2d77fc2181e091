import { describe, expect, it } from '@jest/globals';
import { ConfigError, parseEnvironment, type Config } from '../config/config.js';
import { HttpClient } from './http/http-client.js';
import { configuredProviders } from './providers.module.js';

const AZURE = {
  AZURE_OPENAI_ENDPOINT: 'https://example.openai.azure.com',
  AZURE_OPENAI_API_KEY: 'key',
  AZURE_OPENAI_DEPLOYMENT: 'gpt',
};

function namesOf(environment: Record<string, string>, DEMO?: boolean) {
  const config: Config = { ...parseEnvironment(environment), DEMO };
  return configuredProviders(config, new HttpClient()).map(({ name }) => name);
}

describe(configuredProviders.name, () => {
  it('is the demo where nothing is configured', () => {
    expect(namesOf({})).toEqual(['demo']);
  });

  it('has every configured provider in a fixed order, without the demo', () => {
    expect(namesOf({ OLLAMA_MODEL: 'phi4', ...AZURE, OPENAI_API_KEY: 'key' })).toEqual([
      'openai',
      'azure',
      'ollama',
    ]);
  });

  it('has the demo last where it is asked for', () => {
    expect(namesOf({ OPENAI_API_KEY: 'key' }, true)).toEqual(['openai', 'demo']);
  });

  it('refuses to start with nothing at all', () => {
    expect(() => namesOf({}, false)).toThrow(ConfigError);
    expect(() => namesOf({}, false)).toThrow(/OPENAI_API_KEY/);
  });
});
