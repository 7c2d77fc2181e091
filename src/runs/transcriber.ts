import { randomUUID } from 'node:crypto';
import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';
import { Subject } from 'rxjs';
import { ChatError } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import type { Delta } from '../providers/chunk.js';
import type { Draft, OutputChunk, Terminal, Usage } from './entry.js';

type Choice = ChatCompletionChunk.Choice;

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
  private lastWithUsage?: ChatCompletionChunk;
  /** What frames without choices say, such as Azure's prompt filter: it travels with the next. */
  private extras?: Partial<ChatCompletionChunk>;
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
    if (!Array.isArray(chunk.choices) || chunk.choices.length === 0) {
      if (!chunk.usage) this.extras = { ...this.extras, ...chunk };
      return [];
    }
    const events = chunk.choices.flatMap(({ delta }) => eventsOf(delta));
    const finishing = chunk.choices.filter((choice) => this.finishes(choice));
    if (this.isClean(chunk, events.length > 0, finishing.length)) {
      this.send(json ?? chunk, events);
    } else {
      const apart = events.length > 0 ? finishing : [];
      const clean = this.clean(chunk, events.length > 0 ? [] : finishing);
      this.send(clean, events);
      if (apart.length > 0) this.send({ ...clean, choices: apart.map(finishOnly) });
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
    const usageChunk = this.lastWithUsage && {
      ...this.lastWithUsage,
      ...this.identity!,
      choices: [],
      usage: usageOf(this.lastWithUsage),
    };
    return {
      type: 'done',
      data: { finish_reason: this.finishReasons.get(0)!, model: this.target, usage: this.usage },
      chunks: this.pending,
      usageChunk,
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
  private finishes({ index, finish_reason }: Choice): boolean {
    if (!finish_reason || this.finishReasons.has(index)) return false;
    this.finishReasons.set(index, finish_reason);
    return true;
  }

  private isClean(chunk: ChatCompletionChunk, hasContent: boolean, finishing: number): boolean {
    this.identity ??= {
      id: chunk.id || `chatcmpl-${randomUUID()}`,
      created: chunk.created || Math.floor(Date.now() / 1000),
      object: OBJECT,
      model: chunk.model || this.target,
    };
    const expectedFinishing = hasContent ? 0 : finishing;
    return (
      chunk.id === this.identity.id &&
      chunk.created === this.identity.created &&
      chunk.object === OBJECT &&
      Boolean(chunk.model) &&
      !chunk.usage &&
      !this.extras &&
      chunk.choices.every(isCompleteChoice) &&
      chunk.choices.filter(({ finish_reason }) => finish_reason).length === expectedFinishing
    );
  }

  /** @param finishing the choices that keep their finish reason */
  private clean(chunk: ChatCompletionChunk, finishing: Choice[]): ChatCompletionChunk {
    const { usage: _usage, ...rest } = chunk;
    const { extras } = this;
    this.extras = undefined;
    return {
      ...extras,
      ...rest,
      ...this.identity!,
      model: chunk.model || this.identity!.model,
      choices: chunk.choices.map((choice) => ({
        ...choice,
        index: choice.index ?? 0,
        delta: completeDelta(choice.delta),
        finish_reason: finishing.includes(choice) ? choice.finish_reason : null,
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
  delta.tool_calls?.forEach(({ index, id, function: call }, position) => {
    events.push({
      type: 'tool_call',
      data: {
        index: index ?? position,
        ...(id && { id }),
        ...(call?.name && { name: call.name }),
        arguments: call?.arguments ?? '',
      },
    });
  });
  return events;
}

/** Whether a choice has all that OpenAI's schema requires of it. */
function isCompleteChoice({ index, delta, finish_reason }: Choice): boolean {
  return (
    typeof index === 'number' &&
    delta != null &&
    finish_reason !== undefined &&
    (delta.tool_calls?.every((call) => typeof call.index === 'number') ?? true)
  );
}

function completeDelta(delta: Choice['delta'] | undefined): Choice['delta'] {
  if (!delta?.tool_calls) return delta ?? {};
  const tool_calls = delta.tool_calls.map((call, index) => ({ ...call, index: call.index ?? index }));
  return { ...delta, tool_calls };
}

function finishOnly({ index, finish_reason }: Choice): Choice {
  return { index: index ?? 0, delta: {}, logprobs: null, finish_reason };
}

/** The usage with the three counts that clients rely on; some services leave out the sum. */
function usageOf({ usage }: ChatCompletionChunk): CompletionUsage {
  const counts: Partial<CompletionUsage> = usage!;
  const { prompt_tokens = 0, completion_tokens = 0 } = counts;
  const { total_tokens = prompt_tokens + completion_tokens } = counts;
  return { ...counts, prompt_tokens, completion_tokens, total_tokens };
}
