import type { ToolCallDelta } from '../../runs/entry.js';
import type { BlockDelta, ContentBlock, StreamEvent } from './message.js';

interface Call {
  type: 'tool_use';
  index: number;
  /** The arguments so far. */
  json: string;
}

/**
 * The content blocks of a message. One is open at a time, which Anthropic's SDK counts on (it takes
 * every delta for the last block's): OpenAI's parallel calls, which may take turns, come one after
 * the other, and pieces of a call wait while the one before it is not whole.
 */
export class ContentBlocks {
  private count = 0;
  private open?: Call | { type: 'text' | 'thinking' };
  private readonly waiting = new Map<number, ToolCallDelta>();

  /** @param callId names a call that its provider did not */
  constructor(private readonly callId: (index: number) => string) {}

  text(text: string): StreamEvent[] {
    const before = this.enter({ type: 'text', text: '' });
    return [...before, this.delta({ type: 'text_delta', text })];
  }

  thinking(thinking: string): StreamEvent[] {
    const before = this.enter({ type: 'thinking', thinking: '', signature: '' });
    return [...before, this.delta({ type: 'thinking_delta', thinking })];
  }

  call(delta: ToolCallDelta): StreamEvent[] {
    const { open } = this;
    if (open?.type === 'tool_use') {
      if (open.index === delta.index) return this.argue(open, delta.arguments);
      if (!isWhole(open.json)) {
        this.waiting.set(delta.index, this.withWaiting(delta));
        return [];
      }
    }
    if (isBlank(delta) && !this.waiting.has(delta.index)) return [];
    return [...this.close(), ...this.startCall(this.withWaiting(delta))];
  }

  /** Closes what is open, after all that waited. */
  end(): StreamEvent[] {
    const waited = () => [...this.waiting.values()].flatMap((call) => this.wholeCall(call));
    return [...this.close(), ...waited()];
  }

  private enter(block: ContentBlock & { type: 'text' | 'thinking' }): StreamEvent[] {
    if (this.open?.type === block.type) return [];
    return [...this.end(), this.start(block, { type: block.type })];
  }

  private wholeCall(call: ToolCallDelta): StreamEvent[] {
    return [...this.startCall(call), ...this.close()];
  }

  private startCall({ index, id, name = '', arguments: json }: ToolCallDelta): StreamEvent[] {
    this.waiting.delete(index);
    const call: Call = { type: 'tool_use', index, json: '' };
    const block = { type: 'tool_use' as const, id: id ?? this.callId(index), name, input: {} };
    return [this.start(block, call), ...this.argue(call, json)];
  }

  private argue(call: Call, partial_json: string): StreamEvent[] {
    call.json += partial_json;
    return partial_json === '' ? [] : [this.delta({ type: 'input_json_delta', partial_json })];
  }

  private withWaiting(delta: ToolCallDelta): ToolCallDelta {
    const before = this.waiting.get(delta.index);
    return { ...before, ...delta, arguments: (before?.arguments ?? '') + delta.arguments };
  }

  private start(content_block: ContentBlock, open: ContentBlocks['open']): StreamEvent {
    this.open = open;
    this.count += 1;
    return { type: 'content_block_start', index: this.count - 1, content_block };
  }

  private delta(delta: BlockDelta): StreamEvent {
    return { type: 'content_block_delta', index: this.count - 1, delta };
  }

  private close(): StreamEvent[] {
    if (!this.open) return [];
    this.open = undefined;
    return [{ type: 'content_block_stop', index: this.count - 1 }];
  }
}

/** Some services have more pieces of a call that they have begun or ended, with nothing in them. */
function isBlank({ id, name, arguments: json }: ToolCallDelta): boolean {
  return id === undefined && name === undefined && json.trim() === '';
}

function isWhole(json: string): boolean {
  try {
    JSON.parse(json);
    return true;
  } catch {
    return false;
  }
}
