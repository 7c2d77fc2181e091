import { ChatError } from '../../errors/chat-error.js';
import { chatRequestSchema, type ChatRequestBody } from '../chat-request.schema.js';
import { SchemaPipe } from '../schema.pipe.js';
import { toChatMessages } from './chat-messages.js';
import type { UIRequest } from './ui-request.schema.js';

/**
 * Parameters that a page may send beside its messages. Others are the application's own and stay
 * here: services refuse what they do not know.
 */
const PARAMETERS = [
  'model',
  'n',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'max_tokens',
  'max_completion_tokens',
  'frequency_penalty',
  'presence_penalty',
  'stop',
  'seed',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'response_format',
  'reasoning_effort',
  'verbosity',
  'logit_bias',
  'service_tier',
  'user',
  'safety_identifier',
  'prompt_cache_key',
  'prediction',
  'web_search_options',
  'chat_template_kwargs',
];

const chatRequest = new SchemaPipe(chatRequestSchema);

/** @throws {ChatError} `invalid_request` for what can't be a request, or has more than one answer */
export function toChatRequest(body: UIRequest): ChatRequestBody {
  const messages = toChatMessages(body.messages);
  if (messages.length === 0) {
    const message = 'messages: expected one that says something';
    throw new ChatError('invalid_request', message, { param: 'messages' });
  }
  const given = PARAMETERS.filter((name) => body[name] !== undefined);
  const request = chatRequest.transform({
    ...Object.fromEntries(given.map((name) => [name, body[name]])),
    messages,
  });
  if ((request.n ?? 1) === 1) return request;
  const message = 'A chat shows one answer: n must be 1.';
  throw new ChatError('invalid_request', message, { param: 'n' });
}
