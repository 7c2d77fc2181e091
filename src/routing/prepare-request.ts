import type { ChatRequest } from '../providers/chat-provider.js';
import { withParameters } from './parameters.js';
import type { Route } from './route.js';

/** The request as the route's targets get it, with what its alias says of prompt and parameters. */
export function prepareRequest(
  asked: ChatRequest,
  { systemPrompt, defaults, pinned }: Pick<Route, 'systemPrompt' | 'defaults' | 'pinned'>,
): ChatRequest {
  const request = defaults || pinned ? withParameters(asked, defaults, pinned) : asked;
  return systemPrompt ? withSystemPrompt(request, systemPrompt) : request;
}

/** The request with `prompt` in front, unless the conversation brings instructions of its own. */
function withSystemPrompt(request: ChatRequest, prompt: string): ChatRequest {
  const instructed = request.messages.some(({ role }) => role === 'system' || role === 'developer');
  if (instructed) return request;
  return { ...request, messages: [{ role: 'system', content: prompt }, ...request.messages] };
}
