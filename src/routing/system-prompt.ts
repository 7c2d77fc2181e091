import type { ChatRequest } from '../providers/chat-provider.js';

/** The request with `prompt` in front, unless the conversation brings instructions of its own. */
export function withSystemPrompt(request: ChatRequest, prompt?: string): ChatRequest {
  const instructed = request.messages.some(({ role }) => role === 'system' || role === 'developer');
  if (prompt === undefined || instructed) return request;
  return { ...request, messages: [{ role: 'system', content: prompt }, ...request.messages] };
}
