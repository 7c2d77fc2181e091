import { EXTENSIONS, type ChatRequest } from '../providers/chat-provider.js';

type Parameters = Readonly<Record<string, unknown>>;

/** Parameters that say the same thing. */
const SYNONYMS = [
  ['max_tokens', 'max_completion_tokens'],
  ['reasoning_effort', 'think'],
  ['response_format', 'format'],
];

/** The request with `defaults` where it says nothing, and with `pinned` whatever it says. */
export function withParameters(
  request: ChatRequest,
  defaults: Parameters = {},
  pinned: Parameters = {},
): ChatRequest {
  const said = (name: string) => request[name] != null || request[EXTENSIONS]?.[name] != null;
  const open = Object.entries(defaults).filter(([name]) => !synonymsOf(name).some(said));
  const settled = Object.keys(pinned).flatMap(synonymsOf);
  const without = (parameters: Parameters) =>
    Object.fromEntries(Object.entries(parameters).filter(([name]) => !settled.includes(name)));
  return {
    ...without({ ...request, ...Object.fromEntries(open) }),
    ...pinned,
    messages: request.messages,
    ...(request[EXTENSIONS] && { [EXTENSIONS]: without(request[EXTENSIONS]) }),
  };
}

function synonymsOf(name: string): readonly string[] {
  return SYNONYMS.find((names) => names.includes(name)) ?? [name];
}
