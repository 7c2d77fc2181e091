import { ChatError } from '../../errors/chat-error.js';
import type { Run } from '../../runs/run.js';
import { MessageEvents } from './message-events.js';
import type { BlockDelta, ContentBlock, Message, StreamEvent } from './message.js';

/**
 * The answer of a finished run as one object, from the events that a stream would have sent.
 * @throws {ChatError} `provider_malformed` for a tool call that nobody can read
 */
export function wholeMessage(run: Run): Message {
  const events = new MessageEvents(run);
  const [first, ...rest] = run.log.entries.flatMap((entry) => events.of(entry));
  const { message } = first as StreamEvent & { type: 'message_start' };
  for (const event of rest) add(message, event);
  for (const block of message.content) {
    if (block.type === 'tool_use') block.input = parsed(block.input as string, message);
  }
  return message;
}

function add(message: Message, event: StreamEvent) {
  switch (event.type) {
    case 'content_block_start': {
      const { content_block: block } = event;
      message.content.push(block.type === 'tool_use' ? { ...block, input: '' } : block);
      break;
    }
    case 'content_block_delta':
      append(message.content[event.index]!, event.delta);
      break;
    case 'message_delta':
      Object.assign(message, event.delta, { usage: event.usage });
      break;
  }
}

function append(block: ContentBlock, delta: BlockDelta) {
  if (block.type === 'text' && delta.type === 'text_delta') {
    block.text += delta.text;
  } else if (block.type === 'thinking' && delta.type === 'thinking_delta') {
    block.thinking += delta.thinking;
  } else if (block.type === 'tool_use' && delta.type === 'input_json_delta') {
    block.input = `${block.input as string}${delta.partial_json}`;
  }
}

/** A call that the limit of tokens cut has no input yet; one without parameters may have no JSON. */
function parsed(json: string, { stop_reason }: Message): unknown {
  if (json === '') return {};
  try {
    return JSON.parse(json);
  } catch {
    if (stop_reason === 'max_tokens') return {};
    const message = 'The provider called a tool with arguments that are not JSON.';
    throw new ChatError('provider_malformed', message);
  }
}
