import type { Entry, Usage } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';
import { cancelled } from '../../errors/chat-error.js';
import { anthropicError } from './anthropic-error.js';
import { ContentBlocks } from './content-blocks.js';
import { messageUsage, type StopReason, type StreamEvent } from './message.js';

const STOP_REASONS: Readonly<Record<string, StopReason>> = {
  length: 'max_tokens',
  content_filter: 'refusal',
  tool_calls: 'tool_use',
  function_call: 'tool_use',
};

/** What a run's entries are to Anthropic's clients, entry by entry from the first. */
export class MessageEvents {
  private readonly blocks: ContentBlocks;
  private readonly id: string;
  private hasCalled = false;
  private hasRefused = false;

  constructor({ id }: Pick<Run, 'id'>) {
    const name = id.replace(/^run_/, '');
    this.id = `msg_${name}`;
    this.blocks = new ContentBlocks((index) => `toolu_${name}_${index}`);
  }

  of(entry: Entry): StreamEvent[] {
    switch (entry.type) {
      case 'start':
        return [this.start(entry.data.model)];
      case 'reasoning':
        return this.blocks.thinking(entry.data.content);
      case 'message':
        return this.blocks.text(entry.data.content);
      case 'refusal':
        this.hasRefused = true;
        return this.blocks.text(entry.data.content);
      case 'tool_call':
        this.hasCalled = true;
        return this.blocks.call(entry.data);
      case 'delta':
        return [];
      case 'done':
        return this.end(entry.data);
      case 'cancelled':
        return [anthropicError(cancelled())];
      case 'error':
        return [anthropicError(entry.error)];
    }
  }

  private start(model: string): StreamEvent {
    const { id } = this;
    const open = { content: [], stop_reason: null, stop_sequence: null };
    const usage = messageUsage(null);
    return {
      type: 'message_start',
      message: { id, type: 'message', role: 'assistant', model, ...open, usage },
    };
  }

  private end({ finish_reason, usage }: { finish_reason: string; usage: Usage | null }) {
    const delta = { stop_reason: this.stopReason(finish_reason), stop_sequence: null };
    return [
      ...this.blocks.end(),
      { type: 'message_delta' as const, delta, usage: messageUsage(usage) },
      { type: 'message_stop' as const },
    ];
  }

  private stopReason(finishReason: string): StopReason {
    const reason = STOP_REASONS[finishReason];
    if (reason) return reason;
    // OpenAI says `stop` for a refusal, and for a call that the request's `tool_choice` named.
    if (this.hasRefused) return 'refusal';
    return this.hasCalled ? 'tool_use' : 'end_turn';
  }
}
