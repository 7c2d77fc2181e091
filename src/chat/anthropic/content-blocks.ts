import { isWhole } from '../../runs/call-indexes.js';
import { WholeCharacters } from '../dialects/half-character.js';
import type { ToolCallDelta } from '../../runs/entry.js';
import type { BlockDelta, ContentBlock, StreamEvent } from './message.js';

interface Call {
  type: 'tool_use';
  index: number;
  /** The arguments so far. */
  json: string;
  readonly characters: WholeCharacters;
}

type Prose = ContentBlock & { type: 'text' | 'thinking' };

/**
 * The content blocks of a message. One is open at a time, which Anthropic's SDK counts on (it takes
 * every delta for the last block's): OpenAI's parallel calls, which may take turns, come one after
 * the other, and what comes between the pieces of a call waits until that is whole.
 */
export class ContentBlocks {
  private count = 0;
  private open?: Call | Pick<Prose, 'type'>;
  private readonly waiting = new Map<number, ToolCallDelta>();
  private waitingProse: (() => StreamEvent[])[] = [];
  // Python can't encode half a character.
  private readonly texts = new WholeCharacters();
  private readonly thoughts = new WholeCharacters();

  /** @param callId names a call that its provider did not */
  constructor(private readonly callId: (index: number) => string) {}

  text(piece: string): StreamEvent[] {
    const text = this.texts.next(piece);
    if (text === '') return [];
    return this.say({ type: 'text', text: '' }, { type: 'text_delta', text });
  }

  thinking(piece: string): StreamEvent[] {
    const thinking = this.thoughts.next(piece);
    if (thinking === '') return [];
    const block = { type: 'thinking', thinking: '', signature: '' } as const;
    return this.say(block, { type: 'thinking_delta', thinking });
  }

  call(delta: ToolCallDelta): StreamEvent[] {
    const { open } = this;
    if (open?.type === 'tool_use') {
      if (open.index === delta.index) {
        const argued = this.argue(open, delta.arguments);
        const canSay = this.waitingProse.length > 0 && !this.isCalling;
        return canSay ? [...argued, ...this.sayWaiting()] : argued;
      }
      if (!isWhole(open.json)) {
        this.waiting.set(delta.index, this.withWaiting(delta));
        return [];
      }
    }
    if (isBlank(delta) && !this.waiting.has(delta.index)) return [];
    const call = this.withWaiting(delta);
    // Its block begins with its name, which some services have after its id.
    if (!call.name) {
      this.waiting.set(delta.index, call);
      return [];
    }
    return [...this.close(), ...this.startCall(call)];
  }

  /** Closes what is open, after all that waited. */
  end(): StreamEvent[] {
    return [...this.endCalls(), ...this.sayWaiting(), ...this.close()];
  }

  /** Whether a call has no arguments yet, or a part of them. */
  private get isCalling(): boolean {
    const { open, waiting } = this;
    const calls = [...waiting.values()].map(({ arguments: json }) => json);
    if (open?.type === 'tool_use') calls.push(open.json);
    return !calls.every(isWhole);
  }

  private say(block: Prose, delta: BlockDelta): StreamEvent[] {
    if (this.waitingProse.length > 0 || this.isCalling) {
      this.waitingProse.push(() => this.say(block, delta));
      return [];
    }
    const before = this.open?.type === block.type ? [] : this.enter(block);
    return [...before, this.delta(delta)];
  }

  private sayWaiting(): StreamEvent[] {
    const waiting = this.waitingProse;
    this.waitingProse = [];
    return waiting.flatMap((say) => say());
  }

  private enter(block: Prose): StreamEvent[] {
    return [...this.endCalls(), this.start(block, { type: block.type })];
  }

  /** Closes what is open, and has the calls that waited. */
  private endCalls(): StreamEvent[] {
    const closed = this.close();
    return [...closed, ...[...this.waiting.values()].flatMap((call) => this.wholeCall(call))];
  }

  private wholeCall(call: ToolCallDelta): StreamEvent[] {
    return [...this.startCall(call), ...this.close()];
  }

  private startCall({ index, id, name = '', arguments: json }: ToolCallDelta): StreamEvent[] {
    this.waiting.delete(index);
    const characters = new WholeCharacters();
    const call: Call = { type: 'tool_use', index, json: '', characters };
    const block = { type: 'tool_use' as const, id: id ?? this.callId(index), name, input: {} };
    return [this.start(block, call), ...this.argue(call, json)];
  }

  private argue(call: Call, piece: string): StreamEvent[] {
    call.json += piece;
    const partial_json = call.characters.next(piece);
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
