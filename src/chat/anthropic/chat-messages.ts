import type {
  ChatCompletionAssistantMessageParam,
  ChatCompletionContentPart,
  ChatCompletionMessageParam,
  ChatCompletionUserMessageParam,
} from 'openai/resources/chat/completions';
import type { AssistantBlock, ShownBlock, UserBlock } from './content-blocks.schema.js';
import type { Prompt } from './messages.schema.js';

type ToolResult = Extract<UserBlock, { type: 'tool_result' }>;

/** The conversation in OpenAI's words, with the system prompt as its first message. */
export function toChatMessages({ system, messages }: Prompt): ChatCompletionMessageParam[] {
  const conversation = messages.flatMap((message): ChatCompletionMessageParam[] => {
    switch (message.role) {
      case 'user':
        return userMessages(message.content);
      case 'assistant':
        return [assistantMessage(message.content)];
      case 'system':
        return [{ role: 'system', content: joined(message.content) }];
    }
  });
  return system ? [{ role: 'system', content: joined(system) }, ...conversation] : conversation;
}

/** OpenAI wants a tool's result right after its call, in a message of its own and as text alone. */
function userMessages(blocks: UserBlock[]): ChatCompletionMessageParam[] {
  const results = blocks.filter((block) => block.type === 'tool_result');
  const shown = blocks.flatMap((block) =>
    block.type === 'tool_result'
      ? (block.content ?? []).filter(({ type }) => type !== 'text')
      : [block],
  );
  const tools = results.map((result) => ({
    role: 'tool' as const,
    tool_call_id: result.tool_use_id,
    content: resultOf(result),
  }));
  return shown.length > 0 ? [...tools, { role: 'user', content: contentOf(shown) }] : tools;
}

function resultOf({ content, is_error }: ToolResult): string {
  const text = joined((content ?? []).filter((block) => block.type === 'text'));
  return is_error ? `Error: ${text}` : text;
}

/** Text alone as a string: not every server that speaks OpenAI's API takes parts. */
function contentOf(blocks: ShownBlock[]): ChatCompletionUserMessageParam['content'] {
  const texts = blocks.filter((block) => block.type === 'text');
  return texts.length === blocks.length ? joined(texts) : blocks.flatMap(partsOf);
}

function partsOf(block: ShownBlock): ChatCompletionContentPart[] {
  switch (block.type) {
    case 'text':
      return [textPart(block.text)];
    case 'image':
      return [{ type: 'image_url', image_url: { url: urlOf(block.source) } }];
    case 'document': {
      const { source, title, context } = block;
      if (source.type === 'text') {
        const text = [title, context, source.data].filter(Boolean).join('\n\n');
        return [textPart(text)];
      }
      const filename = title || 'document';
      const file = { filename, file_data: urlOf(source) };
      return [...(context ? [textPart(context)] : []), { type: 'file', file }];
    }
  }
}

function textPart(text: string): ChatCompletionContentPart {
  return { type: 'text', text };
}

type Source = { type: 'base64'; media_type: string; data: string } | { type: 'url'; url: string };

function urlOf(source: Source): string {
  return source.type === 'url' ? source.url : `data:${source.media_type};base64,${source.data}`;
}

/** Without its thinking: OpenAI has no place for it, and many services refuse what they don't know. */
function assistantMessage(blocks: AssistantBlock[]): ChatCompletionAssistantMessageParam {
  const texts = blocks.filter((block) => block.type === 'text');
  const calls = blocks.filter((block) => block.type === 'tool_use');
  if (calls.length === 0) return { role: 'assistant', content: joined(texts) };
  return {
    role: 'assistant',
    content: texts.length > 0 ? joined(texts) : null,
    tool_calls: calls.map(({ id, name, input }) => ({
      id,
      type: 'function',
      function: { name, arguments: JSON.stringify(input ?? {}) },
    })),
  };
}

function joined(blocks: readonly { text: string }[]): string {
  return blocks.map(({ text }) => text).join('\n');
}
