import type { Entry, ToolCallDelta, Usage } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';
import type { Encoder, WrittenDialect } from './dialect.js';

/** The AI SDK's words for finish reasons; whatever has none is `other`. */
const FINISH_REASONS: Readonly<Record<string, string>> = {
  stop: 'stop',
  length: 'length',
  content_filter: 'content-filter',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
};

type Part = { type: string } & Record<string, unknown>;
type BlockKind = 'text' | 'reasoning';

interface ToolCall {
  id: string;
  /** Empty until the service told it. */
  name: string;
  arguments: string;
}

/**
 * The AI SDK's UI message stream, version 1: one message of one step.
 *
 * https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol#ui-message-stream-protocol
 * @param messageId of the page's message that goes on; a message of its own unless given
 */
export function uiDialect(messageId?: string): WrittenDialect {
  return {
    headers: {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'x-vercel-ai-ui-message-stream': 'v1',
    },
    onFailure: 'tell',
    open: (run) => new UIEncoder(run, messageId ?? run.id),
  };
}

class UIEncoder implements Encoder {
  readonly heartbeat = ': ping\n\n';

  private block?: { kind: BlockKind; id: string };
  private blocks = 0;
  private readonly calls = new Map<number, ToolCall>();

  constructor(
    private readonly run: Run,
    private readonly messageId: string,
  ) {}

  encode(entry: Entry): string {
    const frames = this.parts(entry).map((part) => `data: ${JSON.stringify(part)}\n\n`);
    if (entry.type === 'done') frames.push('data: [DONE]\n\n');
    return frames.join('');
  }

  private parts(entry: Entry): Part[] {
    switch (entry.type) {
      case 'start': {
        const messageMetadata = { runId: entry.data.id, model: entry.data.model };
        const start = { type: 'start', messageId: this.messageId, messageMetadata };
        return [start, { type: 'start-step' }];
      }
      // The protocol has no word for a refusal, and the user is to read it.
      case 'refusal':
      case 'message':
        return this.say('text', entry.data.content);
      case 'reasoning':
        return this.say('reasoning', entry.data.content);
      case 'tool_call':
        return [...this.closeBlock(), ...this.call(entry.data)];
      case 'delta':
        return [];
      case 'done': {
        const { finish_reason, usage } = entry.data;
        return [
          ...this.closeBlock(),
          // Not before: a call whose answer was cut off must not be made.
          ...[...this.calls.values()].map(completeCall),
          { type: 'finish-step' },
          {
            type: 'finish',
            finishReason: FINISH_REASONS[finish_reason] ?? 'other',
            messageMetadata: { usage: usage && usageOf(usage) },
          },
        ];
      }
      case 'error':
        return [{ type: 'error', errorText: entry.data.message }];
      case 'cancelled':
        return [{ type: 'abort', reason: 'The run was cancelled.' }];
    }
  }

  private say(kind: BlockKind, delta: string): Part[] {
    const before = this.block?.kind === kind ? [] : this.openBlock(kind);
    return [...before, { type: `${kind}-delta`, id: this.block!.id, delta }];
  }

  private openBlock(kind: BlockKind): Part[] {
    const closing = this.closeBlock();
    this.blocks += 1;
    const id = `${kind}-${this.blocks}`;
    this.block = { kind, id };
    return [...closing, { type: `${kind}-start`, id }];
  }

  private closeBlock(): Part[] {
    const { block } = this;
    this.block = undefined;
    return block ? [{ type: `${block.kind}-end`, id: block.id }] : [];
  }

  private call({ index, id, name, arguments: delta }: ToolCallDelta): Part[] {
    const known = this.calls.get(index);
    // Without one of the service's own, one that no other call of the conversation has.
    const call = known ?? { id: id ?? `${this.run.id}-${index}`, name: '', arguments: '' };
    this.calls.set(index, call);
    const isStarting = call.name === '' && name !== undefined;
    if (isStarting) call.name = name;
    call.arguments += delta;
    const { id: toolCallId, name: toolName } = call;
    const inputTextDelta = isStarting ? call.arguments : delta;
    return [
      ...(isStarting ? [{ type: 'tool-input-start', toolCallId, toolName }] : []),
      ...(toolName !== '' && inputTextDelta !== ''
        ? [{ type: 'tool-input-delta', toolCallId, inputTextDelta }]
        : []),
    ];
  }
}

function completeCall({ id: toolCallId, name: toolName, arguments: json }: ToolCall): Part {
  try {
    const input: unknown = JSON.parse(json.trim() || '{}');
    return { type: 'tool-input-available', toolCallId, toolName, input };
  } catch {
    const errorText = `The model called ${toolName} with arguments that are not JSON.`;
    return { type: 'tool-input-error', toolCallId, toolName, input: json, errorText };
  }
}

/** https://ai-sdk.dev/docs/reference/ai-sdk-core/stream-text#usage */
function usageOf({ source, ...counts }: Usage) {
  return {
    inputTokens: counts.prompt_tokens,
    outputTokens: counts.completion_tokens,
    totalTokens: counts.total_tokens,
    reasoningTokens: counts.completion_tokens_details?.reasoning_tokens,
    cachedInputTokens: counts.prompt_tokens_details?.cached_tokens,
    source,
  };
}
