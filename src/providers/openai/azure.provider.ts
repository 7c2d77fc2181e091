import { AzureOpenAI, OpenAI } from 'openai';
import { throwError } from 'rxjs';
import type { ServiceOf } from '../../config/file/providers.schema.js';
import { ChatError } from '../../errors/chat-error.js';
import type { ChatProvider, ChatRequest, StreamOptions } from '../chat-provider.js';
import type { HttpClient } from '../http/http-client.js';
import { ChatCompletions, SDK_OPTIONS } from './chat-completions.js';
import { entraTokens } from './entra-token.js';

/** A deployment becomes a part of the URL, so nothing that means something there. */
const DEPLOYMENT_NAME = /^[\w-][\w.-]*$/;

/** Versions that mean Azure's v1 route, which has the deployment in the body. */
const V1_VERSIONS = /^(v1|latest|preview)$/;

/**
 * Azure OpenAI with a key or, without one, a token of Microsoft Entra ID. A dated api-version means the
 * route with the deployment in the path; none, or an endpoint that ends in `/openai/v1`, means the v1
 * route. Its models are deployments.
 */
export class AzureProvider implements ChatProvider {
  readonly conventionalName = 'azure.ai.openai';
  readonly models;
  private readonly completions: ChatCompletions;

  constructor(
    readonly name: string,
    service: ServiceOf<'azure'>,
    http: HttpClient,
    maxLineLength: number,
  ) {
    this.models = service.models;
    const tokens = service.apiKey ? undefined : entraTokens();
    const client = azureClient(service, tokens);
    this.completions = new ChatCompletions(client, http, maxLineLength, tokens);
  }

  stream(model: string, request: ChatRequest, options: StreamOptions) {
    if (!DEPLOYMENT_NAME.test(model)) {
      const message = 'A deployment name has letters, digits, hyphens, underscores and dots only.';
      return throwError(() => new ChatError('invalid_request', message, { param: 'model' }));
    }
    return this.completions.stream(model, request, options);
  }
}

function azureClient(
  { baseUrl, apiKey, apiVersion }: ServiceOf<'azure'>,
  tokens?: () => Promise<string>,
): OpenAI {
  const endpoint = baseUrl.replace(/(\/openai(\/v1)?)?\/*$/, '');
  const isV1 = apiVersion === undefined || V1_VERSIONS.test(apiVersion) || /\/v1\/*$/.test(baseUrl);
  if (!isV1) {
    // An empty key keeps the SDK from looking for one in the environment.
    const credentials = apiKey ? { apiKey } : { apiKey: '', azureADTokenProvider: tokens };
    return new AzureOpenAI({
      ...SDK_OPTIONS,
      ...credentials,
      baseURL: `${endpoint}/openai`,
      apiVersion,
    });
  }
  return new OpenAI({
    ...SDK_OPTIONS,
    apiKey: apiKey ?? tokens,
    baseURL: `${endpoint}/openai/v1`,
    ...(apiKey && { defaultHeaders: { 'api-key': apiKey, authorization: null } }),
    ...(apiVersion === 'preview' && { defaultQuery: { 'api-version': apiVersion } }),
  });
}
