import { ChatError } from '../../errors/chat-error.js';

const SCOPE = 'https://cognitiveservices.azure.com/.default';

/**
 * Microsoft Entra ID's tokens for Azure OpenAI, of the identity that the process runs under: a
 * workload's, a managed one or a developer's own. The library that gets them, and keeps them while
 * they are good, is loaded with the first.
 */
export function entraTokens(): () => Promise<string> {
  let tokens: Promise<() => Promise<string>> | undefined;
  return async () => {
    try {
      tokens ??= openTokens();
      return await (
        await tokens
      )();
    } catch (cause) {
      throw new ChatError('provider_auth', 'There is no access token for Azure.', { cause });
    }
  };
}

async function openTokens() {
  const { DefaultAzureCredential, getBearerTokenProvider } = await import('@azure/identity');
  return getBearerTokenProvider(new DefaultAzureCredential(), SCOPE);
}
