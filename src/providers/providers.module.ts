import { Module } from '@nestjs/common';
import { CONFIG, ConfigError, type Config } from '../config/config.js';
import { CHAT_PROVIDERS, type ChatProvider } from './chat-provider.js';
import { DemoProvider } from './demo/demo.provider.js';
import { HttpClient } from './http/http-client.js';
import { OllamaProvider } from './ollama/ollama.provider.js';
import { AzureProvider } from './openai/azure.provider.js';
import { OpenAIProvider } from './openai/openai.provider.js';

/** In the order in which they become the default. */
const UPSTREAMS = [OpenAIProvider, AzureProvider, OllamaProvider];

/**
 * Every provider that the configuration has what it takes for, and the demo when there is none or
 * when it is asked for.
 * @throws {ConfigError} when nothing would be left to answer
 */
export function configuredProviders(
  config: Config,
  http: HttpClient,
): [ChatProvider, ...ChatProvider[]] {
  const upstreams = UPSTREAMS.filter((Provider) => Provider.isConfigured(config));
  const providers: ChatProvider[] = upstreams.map((Provider) => new Provider(config, http));
  if (config.DEMO ?? providers.length === 0) providers.push(new DemoProvider());

  const [first, ...others] = providers;
  if (!first) {
    throw new ConfigError(
      'The configuration is not valid:\n' +
        '  DEMO: expected on, or a provider by OPENAI_API_KEY, OPENAI_BASE_URL, ' +
        'AZURE_OPENAI_ENDPOINT, OLLAMA_BASE_URL or OLLAMA_MODEL',
    );
  }
  return [first, ...others];
}

@Module({
  providers: [
    HttpClient,
    { provide: CHAT_PROVIDERS, inject: [CONFIG, HttpClient], useFactory: configuredProviders },
  ],
  exports: [CHAT_PROVIDERS],
})
export class ProvidersModule {}
