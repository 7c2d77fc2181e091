import type { Config } from './config.js';
import type { Service } from './file/providers.schema.js';

/** The services that the environment has what it takes for, each named by its type. */
export function environmentProviders(config: Config): Service[] {
  const services: Service[] = [];
  if (config.OPENAI_API_KEY ?? config.OPENAI_BASE_URL) {
    services.push({
      type: 'openai',
      baseUrl: config.OPENAI_BASE_URL,
      apiKey: config.OPENAI_API_KEY,
      models: [config.OPENAI_MODEL],
    });
  }
  if (config.AZURE_OPENAI_ENDPOINT) {
    services.push({
      type: 'azure',
      baseUrl: config.AZURE_OPENAI_ENDPOINT,
      apiKey: config.AZURE_OPENAI_API_KEY ?? config.AZURE_OPENAI_KEY,
      apiVersion: config.AZURE_OPENAI_API_VERSION ?? config.OPENAI_API_VERSION,
      models: [(config.AZURE_OPENAI_DEPLOYMENT ?? config.AZURE_OPENAI_CHATGPT_DEPLOYMENT)!],
    });
  }
  if (config.OLLAMA_BASE_URL ?? config.OLLAMA_MODEL) {
    services.push({
      type: 'ollama',
      baseUrl: config.OLLAMA_BASE_URL,
      models: [config.OLLAMA_MODEL ?? 'llama3.2'],
    });
  }
  return services;
}
