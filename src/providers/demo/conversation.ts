import type { ChatRequest } from '../chat-provider.js';

type Message = ChatRequest['messages'][number];

/** A message's text, a part a line. */
export function textOf({ content }: Message): string {
  if (typeof content === 'string') return content;
  return (content ?? []).flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}

/** What the user said last; empty where nothing was said. */
export function lastText(messages: Message[]): string {
  const last = messages.filter(({ role }) => role === 'user').at(-1);
  return last ? textOf(last) : '';
}

/** What the tool returned, where the conversation ends with that. */
export function toolResult(messages: Message[]): string | undefined {
  const last = messages.at(-1);
  return last?.role === 'tool' ? textOf(last) : undefined;
}
