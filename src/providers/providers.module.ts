import { Module } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config.js';
import { CHAT_PROVIDER_FACTORY, type ChatProviderFactory } from './chat-provider.js';
import { DemoProvider } from './demo/demo.provider.js';
import { HttpClient } from './http/http-client.js';
import { OllamaProvider } from './ollama/ollama.provider.js';
import { AzureProvider } from './openai/azure.provider.js';
import { OpenAIProvider } from './openai/openai.provider.js';

function chatProviderFactory({ MAX_RUN_BYTES }: Config, http: HttpClient): ChatProviderFactory {
  return ({ name, service }) => {
    switch (service.type) {
      case 'openai':
        return new OpenAIProvider(name, service, http, MAX_RUN_BYTES);
      case 'azure':
        return new AzureProvider(name, service, http, MAX_RUN_BYTES);
      case 'ollama':
        return new OllamaProvider(name, service, http, MAX_RUN_BYTES);
      case 'demo':
        return new DemoProvider(name);
    }
  };
}

@Module({
  providers: [
    HttpClient,
    {
      provide: CHAT_PROVIDER_FACTORY,
      inject: [CONFIG, HttpClient],
      useFactory: chatProviderFactory,
    },
  ],
  exports: [CHAT_PROVIDER_FACTORY],
})
export class ProvidersModule {}
