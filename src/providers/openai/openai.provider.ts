import { OpenAI } from 'openai';
import type { ServiceOf } from '../../config/file/providers.schema.js';
import type { ChatProvider, ChatRequest, StreamOptions } from '../chat-provider.js';
import type { HttpClient } from '../http/http-client.js';
import { ChatCompletions, SDK_OPTIONS } from './chat-completions.js';

/** OpenAI, and every server that speaks its chat API. */
export class OpenAIProvider implements ChatProvider {
  readonly models;
  private readonly completions: ChatCompletions;

  constructor(
    readonly name: string,
    { baseUrl, apiKey, models }: ServiceOf<'openai'>,
    http: HttpClient,
    maxLineLength: number,
  ) {
    this.models = models;
    const client = new OpenAI({
      ...SDK_OPTIONS,
      baseURL: baseUrl ?? 'https://api.openai.com/v1',
      // Servers without keys of their own ignore it; the SDK insists on one.
      apiKey: apiKey ?? 'none',
    });
    this.completions = new ChatCompletions(client, http, maxLineLength);
  }

  stream(model: string, request: ChatRequest, options: StreamOptions) {
    return this.completions.stream(model, request, options);
  }
}
