import { describe, expect, it } from '@jest/globals';
import { ConfigError, parseEnvironment } from './config.js';
import { fileSchema } from './file/file.schema.js';
import { settle } from './settings.js';

const AZURE = {
  AZURE_OPENAI_ENDPOINT: 'https://example.openai.azure.com',
  AZURE_OPENAI_API_KEY: 'key',
  AZURE_OPENAI_DEPLOYMENT: 'gpt',
};

function namesOf(environment: Record<string, string>, file: object = {}) {
  const settings = settle(parseEnvironment(environment), fileSchema.parse(file));
  return settings.providers.map(({ name }) => name);
}

describe(settle.name, () => {
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
    expect(namesOf({ OPENAI_API_KEY: 'key', DEMO: 'on' })).toEqual(['openai', 'demo']);
  });

  it('refuses to start with nothing at all', () => {
    expect(() => namesOf({ DEMO: 'off' })).toThrow(ConfigError);
    expect(() => namesOf({ DEMO: 'off' })).toThrow(/OPENAI_API_KEY/);
  });
});
