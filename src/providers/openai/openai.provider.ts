import { OpenAI } from 'openai';
import type { Config } from '../../config/config.js';
import type { ChatProvider, ChatRequest, StreamOptions } from '../chat-provider.js';
import type { HttpClient } from '../http/http-client.js';
import { ChatCompletions, SDK_OPTIONS } from './chat-completions.js';
import { sdkFetch } from './sdk-fetch.js';

/** OpenAI, and every server that speaks its chat API at `OPENAI_BASE_URL`. */
export class OpenAIProvider implements ChatProvider {
  readonly name = 'openai';
  readonly models: readonly [string];
  private readonly completions: ChatCompletions;

  constructor(config: Config, http: HttpClient) {
    this.models = [config.OPENAI_MODEL];
    const client = new OpenAI({
      ...SDK_OPTIONS,
      baseURL: config.OPENAI_BASE_URL ?? 'https://api.openai.com/v1',
      // Servers without keys of their own ignore it; the SDK insists on one.
      apiKey: config.OPENAI_API_KEY ?? 'none',
      organization: null,
      project: null,
      fetch: sdkFetch(http),
    });
    this.completions = new ChatCompletions(client, config.MAX_RUN_BYTES);
  }

  static isConfigured(config: Config): boolean {
    return Boolean(config.OPENAI_API_KEY ?? config.OPENAI_BASE_URL);
  }

  stream(model: string, request: ChatRequest, options: StreamOptions) {
    return this.completions.stream(model, request, options);
  }
}
