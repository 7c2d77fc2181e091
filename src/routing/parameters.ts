import { EXTENSIONS, type ChatRequest } from '../providers/chat-provider.js';

type Parameters = Readonly<Record<string, unknown>>;

/** Parameters that say the same thing, one of them or another. */
const SYNONYMS = [
  ['max_tokens', 'max_completion_tokens', 'num_predict'],
  ['reasoning_effort', 'think'],
  ['response_format', 'format'],
];

/** The request with `defaults` where it says nothing, and with `pinned` whatever it says. */
export function withParameters(
  request: ChatRequest,
  defaults: Parameters = {},
  pinned: Parameters = {},
): ChatRequest {
  const extensions = request[EXTENSIONS];
  const places = [pinned, request, request.options, extensions, extensions?.options].filter(
    isParameters,
  );
  const isOpen = ([name]: [string, unknown]) =>
    !synonymsOf(name).some((synonym) => places.some((place) => place[synonym] != null));
  const settled = new Set(Object.keys(pinned).flatMap(synonymsOf));

  return {
    ...without(settled, request),
    ...Object.fromEntries(Object.entries(defaults).filter(isOpen)),
    ...pinned,
    messages: request.messages,
    ...(extensions && { [EXTENSIONS]: without(settled, extensions) }),
  };
}

function synonymsOf(name: string): readonly string[] {
  return SYNONYMS.find((names) => names.includes(name)) ?? [name];
}

/** The parameters that no name stands for, among `options` neither. */
function without(names: ReadonlySet<string>, parameters: Parameters): Parameters {
  const kept = Object.entries(parameters).filter(([name]) => !names.has(name));
  return Object.fromEntries(
    kept.map(([name, value]) => [
      name,
      name === 'options' && isParameters(value) ? without(names, value) : value,
    ]),
  );
}

function isParameters(value: unknown): value is Parameters {
  return typeof value === 'object' && value !== null;
}
