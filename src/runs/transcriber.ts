import { randomUUID } from 'node:crypto';
import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';
import { Subject } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import type { UpstreamChoice, UpstreamChunk, Delta } from '../providers/chunk.js';
import type { Draft, OutputChunk, Terminal, Usage } from './entry.js';

type Choice = ChatCompletionChunk.Choice;
type FinishReason = Choice['finish_reason'];

const OBJECT = 'chat.completion.chunk';

/**
 * Turns one provider's chunks into a run's events, and into chunks that every client of OpenAI's
 * dialect can read: one `id` and `created` throughout, a delta in every choice, one finish reason a
 * choice and none on a chunk with content, usage apart. A chunk that is so already stays the JSON
 * that upstream wrote.
 */
export class Transcriber {
  /** Emits when every choice has its finish reason. */
  readonly finished = new Subject<void>();

  private readonly finishReasons = new Map<number, string>();
  private identity?: Pick<ChatCompletionChunk, 'id' | 'created' | 'object' | 'model'>;
  private lastWithUsage?: UpstreamChunk;
  /** What frames without choices say, such as Azure's prompt filter: it travels with the next. */
  private extras?: Omit<UpstreamChunk, 'usage'>;
  /** Chunks without content: they travel with the next event. */
  private pending: OutputChunk[] = [];

  /**
   * @param target the name of what generates
   * @param choices how many answers the request asked for
   */
  constructor(
    private readonly target: string,
    private readonly choices: number,
  ) {}

  /** The provider's count so far, if it gave one. */
  get usage(): Usage | null {
    return this.lastWithUsage ? { ...usageOf(this.lastWithUsage), source: 'provider' } : null;
  }

  /** @returns the events that the frame amounts to, in order; none while it has no content */
  add({ chunk, json }: Frame): Draft[] {
    if (chunk.usage) this.lastWithUsage = chunk;
    const { choices } = chunk;
    if (!Array.isArray(choices) || choices.length === 0) {
      if (!chunk.usage) this.extras = { ...this.extras, ...withoutUsage(chunk) };
      return [];
    }
    const events = choices.flatMap(({ delta }) => eventsOf(delta));
    const finishing = choices.filter((choice) => this.finishes(choice));
    const together = events.length > 0 ? [] : finishing;
    if (this.isClean(chunk, choices, together)) {
      this.send(json ?? (chunk as ChatCompletionChunk), events);
    } else {
      const clean = this.clean(chunk, choices, together);
      this.send(clean, events);
      if (finishing.length > together.length) {
        this.send({ ...clean, choices: finishing.map(finishOnly) });
      }
    }
    if (finishing.length > 0 && this.finishReasons.size >= this.choices) this.finished.next();
    return events;
  }

  /**
   * The run's last event, once upstream ended.
   * @throws {ChatError} `provider_truncated` when a choice has no finish reason
   */
  end(): Draft & Terminal {
    if (this.finishReasons.size < this.choices) {
      throw new ChatError('provider_truncated', 'The provider ended its answer early.');
    }
    return {
      type: 'done',
      data: { finish_reason: this.finishReasons.get(0)!, model: this.target, usage: this.usage },
      chunks: this.pending,
      usageChunk: { ...withoutUsage(this.lastWithUsage ?? {}), ...this.identity!, choices: [] },
    };
  }

  private send(chunk: OutputChunk, events: Draft[] = []) {
    this.pending.push(chunk);
    const last = events.at(-1);
    if (last) {
      last.chunks = this.pending;
      this.pending = [];
    }
  }

  /** Whether a choice ends with this chunk; some services repeat the reason. */
  private finishes({ index = 0, finish_reason }: UpstreamChoice): boolean {
    if (!finish_reason || this.finishReasons.has(index)) return false;
    this.finishReasons.set(index, finish_reason);
    return true;
  }

  /** @param finishing the choices that may have a finish reason */
  private isClean(
    chunk: UpstreamChunk,
    choices: UpstreamChoice[],
    finishing: UpstreamChoice[],
  ): boolean {
    this.identity ??= {
      id: chunk.id || `chatcmpl-${randomUUID()}`,
      object: OBJECT,
      created: chunk.created || Math.floor(Date.now() / 1000),
      model: chunk.model || this.target,
    };
    return (
      chunk.id === this.identity.id &&
      chunk.created === this.identity.created &&
      chunk.object === OBJECT &&
      Boolean(chunk.model) &&
      !chunk.usage &&
      !this.extras &&
      choices.every(isComplete) &&
      choices.filter(({ finish_reason }) => finish_reason).length === finishing.length
    );
  }

  /** @param finishing the choices that keep their finish reason */
  private clean(
    chunk: UpstreamChunk,
    choices: UpstreamChoice[],
    finishing: UpstreamChoice[],
  ): ChatCompletionChunk {
    const { extras } = this;
    this.extras = undefined;
    return {
      ...extras,
      ...withoutUsage(chunk),
      ...this.identity!,
      model: chunk.model || this.identity!.model,
      choices: choices.map((choice) => ({
        ...choice,
        index: choice.index ?? 0,
        delta: completeDelta(choice.delta),
        finish_reason: finishing.includes(choice) ? (choice.finish_reason as FinishReason) : null,
      })),
    };
  }
}

function eventsOf(delta: Delta | null | undefined): Draft[] {
  if (!delta) return [];
  const events: Draft[] = [];
  const reasoning = delta.reasoning_content || delta.reasoning;
  if (reasoning) events.push({ type: 'reasoning', data: { content: reasoning } });
  if (delta.content) events.push({ type: 'message', data: { content: delta.content } });
  if (delta.refusal) events.push({ type: 'refusal', data: { content: delta.refusal } });
  delta.tool_calls?.forEach(({ index, id, function: called }, position) => {
    events.push({
      type: 'tool_call',
      data: {
        index: index ?? position,
        ...(id && { id }),
        ...(called?.name && { name: called.name }),
        arguments: called?.arguments ?? '',
      },
    });
  });
  return events;
}

function withoutUsage({ usage, ...chunk }: UpstreamChunk): Omit<UpstreamChunk, 'usage'> {
  return chunk;
}

/** Whether a choice has all that OpenAI's schema requires of it. */
function isComplete({ index, delta, finish_reason }: UpstreamChoice): boolean {
  return (
    typeof index === 'number' &&
    delta != null &&
    finish_reason !== undefined &&
    (delta.tool_calls?.every((call) => typeof call.index === 'number') ?? true)
  );
}

function completeDelta(delta: Delta | null | undefined): Choice['delta'] {
  const { tool_calls, ...rest } = delta ?? {};
  const calls = tool_calls?.map((call, position) => ({ ...call, index: call.index ?? position }));
  return { ...(rest as Choice['delta']), ...(calls && { tool_calls: calls }) };
}

function finishOnly({ index = 0, finish_reason }: UpstreamChoice): Choice {
  return { index, delta: {}, logprobs: null, finish_reason: finish_reason as FinishReason };
}

/** The usage with the three counts that clients rely on; some services leave out the sum. */
function usageOf({ usage }: UpstreamChunk): CompletionUsage {
  const { prompt_tokens = 0, completion_tokens = 0 } = usage!;
  const { total_tokens = prompt_tokens + completion_tokens } = usage!;
  return { ...usage, prompt_tokens, completion_tokens, total_tokens };
}
