import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { ConfigError, parseEnvironment } from './config.js';

describe('the environment', () => {
  it('has its defaults in .env.example', () => {
    const example = parseEnv(readFileSync('.env.example', 'utf8'));
    expect(parseEnvironment(example)).toEqual(parseEnvironment({}));
  });

  it('is told in the README', () => {
    const readme = readFileSync('README.md', 'utf8');
    for (const name of Object.keys(parseEnv(readFileSync('.env.example', 'utf8')))) {
      expect(readme).toContain(`\`${name}\``);
    }
  });

  it.each([
    ['PORT', '70000'],
    ['HEARTBEAT_MS', 'soon'],
    ['OPENAI_BASE_URL', 'file:///etc/passwd'],
    ['ON_DISCONNECT', 'never'],
    ['MAX_GRACE_SECONDS', '2147484'],
    ['DEMO', 'yes'],
    ['TRUST_PROXY', 'true'],
    ['TRUST_PROXY', '10.0.0.0/33'],
    ['REDIS_URL', 'http://localhost'],
    ['REDIS_URL', 'redis:foo'],
    ['REDIS_URL', 'redis:///0'],
    ['REDIS_URL', 'redis://localhost/abc'],
    ['REDIS_URL', 'redis://:100%@localhost'],
    ['REDIS_URL', 'redis://50%:pw@localhost'],
    ['OPENAI_API_KEY', 'sk-one\nsk-two'],
    ['AZURE_OPENAI_API_KEY', '“sk-one”'],
    ['AZURE_OPENAI_KEY', 'sk one'],
    ['OPENAI_BASE_URL', 'http://localhost/v1?key=one'],
    ['AZURE_OPENAI_ENDPOINT', 'https://localhost?'],
    ['OLLAMA_BASE_URL', 'http://localhost#api'],
  ])('names a bad %s and what was expected, and never the value', (name, value) => {
    const parsing = () => parseEnvironment({ [name]: value });
    expect(parsing).toThrow(ConfigError);
    expect(parsing).toThrow(new RegExp(`${name}: expected `));
    expect(parsing).not.toThrow(value);
  });

  it.each([
    'redis://localhost',
    'redis://localhost:6379/',
    'rediss://user:100%25@[::1]:6380/12',
    'redis://:p%40ss@redis.example/0',
  ])('takes %s for a Redis', (url) => {
    expect(parseEnvironment({ REDIS_URL: url }).REDIS_URL).toBe(url);
  });

  it('knows a key without the line break that a file with a secret ends with', () => {
    expect(parseEnvironment({ OPENAI_API_KEY: ' sk-one\n' }).OPENAI_API_KEY).toBe('sk-one');
  });

  it('takes an empty variable for one that is not set', () => {
    expect(parseEnvironment({ PORT: '' }).PORT).toBe(3000);
  });
});
