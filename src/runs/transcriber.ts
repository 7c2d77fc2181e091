import { randomUUID } from 'node:crypto';
import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';
import { ChatError, truncated } from '../errors/chat-error.js';
import type { Frame } from '../providers/chat-provider.js';
import { otherContent, type UpstreamChunk } from '../providers/chunk.js';
import { CallIndexes } from './call-indexes.js';
import { TextEntry, type Draft, type Terminal, type Usage } from './entry.js';
import { isCount } from './run-record.js';
import { isStandard, toStandard, type Choice } from './standard-choice.js';

type ToolCall = ChatCompletionChunk.Choice.Delta.ToolCall;

const OBJECT = 'chat.completion.chunk';

const NONE: readonly Choice[] = [];

const SERVICE_TIERS = new Set(['auto', 'default', 'flex', 'scale', 'priority']);

/**
 * Turns one provider's chunks into a run's events, and into chunks that every client of OpenAI's
 * dialect can read: OpenAI's schema, one `id` and `created` throughout, a role and one finish reason a
 * choice and none on a chunk with content, an index for each tool call, usage apart. A chunk that is
 * so already stays the JSON that upstream wrote.
 */
export class Transcriber {
  /** Of the choices that have begun. */
  private readonly callIndexes = new Map<number, CallIndexes>();
  private readonly finishReasons = new Map<number, string>();
  private identity?: Pick<ChatCompletionChunk, 'id' | 'created' | 'object' | 'model'>;
  private lastWithUsage?: UpstreamChunk;
  /** What frames without choices say, such as Azure's prompt filter: it travels with the next. */
  private extras?: Omit<ChatCompletionChunk, 'usage'>;
  /** The last chunk that is one message and stays as upstream wrote it: so do those that are like it. */
  private plain?: UpstreamChunk;
  /** Chunks without content: they travel with the next event. */
  private pending: string[] = [];

  /**
   * @param generation knows the name of what generates
   * @param choices how many answers the request asked for
   */
  constructor(
    private readonly generation: { readonly target: string },
    private readonly choices: number,
  ) {}

  /** Whether every choice has its finish reason. */
  get hasFinished(): boolean {
    return this.finishReasons.size >= this.choices;
  }

  /** The provider's count so far, if it gave one. */
  get usage(): Usage | null {
    return this.lastWithUsage ? { ...usageOf(this.lastWithUsage), source: 'provider' } : null;
  }

  /**
   * @returns the events that the frame amounts to, in order; none while it has no content
   * @throws {ChatError} `provider_error` when a finish reason says that the answer failed,
   *   `provider_malformed` when a chunk has an answer that nobody asked for
   */
  add(frame: Frame): Draft[] {
    const { text, padding = '', template } = frame;
    const isPlain = text && template && template.chunk === this.plain;
    const isAlone = !this.extras && this.pending.length === 0;
    if (isPlain && isAlone) return [new TextEntry(text, padding, template)];
    return this.addChunk(frame);
  }

  private addChunk({ chunk, json, template }: Frame): Draft[] {
    if (chunk.usage && hasCounts(chunk.usage)) this.lastWithUsage = chunk;
    const { choices: given } = chunk;
    if (!Array.isArray(given) || given.length === 0) {
      if (!chunk.usage) this.extras = { ...this.extras, ...standardFields(chunk) };
      return [];
    }
    const standard: Choice[] = given.every(isStandard) ? given : given.map(toStandard);
    const choices = this.continued(standard);
    const events: Draft[] = [];
    for (const choice of choices) addEvents(choice, events);
    const finishing = this.finishing(choices);
    const together = events.length > 0 ? NONE : finishing;
    if (choices === given && this.isClean(chunk, choices, together)) {
      this.send(json ?? JSON.stringify(chunk), events);
      const isText = events.length === 1 && events[0]!.type === 'message';
      // One more like it would repeat its role.
      const hasRole = choices.some(({ delta }) => delta.role);
      if (isText && !hasRole) this.plain = template?.chunk ?? chunk;
    } else {
      const clean = this.clean(chunk, choices, together);
      this.send(JSON.stringify(clean), events);
      if (finishing.length > together.length) {
        this.send(JSON.stringify({ ...clean, choices: finishing.map(finishOnly) }), []);
      }
    }
    return events;
  }

  /**
   * The run's last event, once upstream ended.
   * @throws {ChatError} `provider_truncated` when a choice has no finish reason
   */
  end(): Draft & Terminal {
    if (!this.hasFinished) throw truncated();
    return {
      type: 'done',
      data: {
        finish_reason: this.finishReasons.get(0)!,
        model: this.generation.target,
        usage: this.usage,
      },
      chunks: this.pending,
      usageChunk: {
        ...this.extras,
        ...standardFields(this.lastWithUsage ?? {}),
        ...this.identity!,
        choices: [],
      },
    };
  }

  /** @throws {ChatError} `provider_malformed`: its end would be taken for that of another */
  private expectAsked({ index }: Choice) {
    if (index >= 0 && index < this.choices) return;
    throw new ChatError(
      'provider_malformed',
      'The provider sent an answer that was not asked for.',
    );
  }

  /**
   * Choices as they go on from those before: the first of each with a role and no other, every tool
   * call with an index of its own.
   * @returns the same choices where nothing in them must change
   */
  private continued(choices: Choice[]): Choice[] {
    const continued = choices.map((choice) => this.continue(choice));
    return continued.every((choice, at) => choice === choices[at]) ? choices : continued;
  }

  private continue(choice: Choice): Choice {
    const { index, delta } = choice;
    const { role: given, tool_calls } = delta;
    let role: typeof given;
    let indexes = this.callIndexes.get(index);
    if (!indexes) {
      this.expectAsked(choice);
      this.callIndexes.set(index, (indexes = new CallIndexes()));
      role = given ?? 'assistant';
    }
    const calls = tool_calls && indexes.renumber(tool_calls);
    if (role === given && calls === tool_calls) return choice;
    return { ...choice, delta: { ...delta, role, ...(calls && { tool_calls: calls }) } };
  }

  private send(chunk: string, events: readonly Draft[]) {
    const last = events.at(-1);
    if (!last) {
      this.pending.push(chunk);
    } else if (this.pending.length === 0) {
      last.chunks = [chunk];
    } else {
      last.chunks = [...this.pending, chunk];
      this.pending = [];
    }
  }

  /** The choices that end with this chunk; some services repeat the reason. */
  private finishing(choices: readonly Choice[]): readonly Choice[] {
    let finishing = NONE;
    for (const choice of choices) {
      const { index, finish_reason: reason } = choice;
      if (!reason || this.finishReasons.has(index)) continue;
      this.finishReasons.set(index, reason);
      finishing = [...finishing, choice];
    }
    return finishing;
  }

  /** @param finishing the choices that may have a finish reason */
  private isClean(
    chunk: UpstreamChunk,
    choices: readonly Choice[],
    finishing: readonly Choice[],
  ): boolean {
    this.identity ??= identityOf(chunk, this.generation.target);
    return (
      chunk.id === this.identity.id &&
      chunk.created === this.identity.created &&
      chunk.object === OBJECT &&
      isName(chunk.model) &&
      chunk.system_fingerprint !== null &&
      isServiceTier(chunk.service_tier) &&
      !chunk.usage &&
      !this.extras &&
      countReasons(choices) === finishing.length
    );
  }

  /** @param finishing the choices that keep their finish reason */
  private clean(
    chunk: UpstreamChunk,
    choices: readonly Choice[],
    finishing: readonly Choice[],
  ): ChatCompletionChunk {
    const { extras } = this;
    const identity = (this.identity ??= identityOf(chunk, this.generation.target));
    this.extras = undefined;
    return {
      ...extras,
      ...standardFields(chunk),
      ...identity,
      model: isName(chunk.model) ? chunk.model : identity.model,
      choices: choices.map((choice) =>
        finishing.includes(choice) ? choice : { ...choice, finish_reason: null },
      ),
    };
  }
}

function identityOf({ id, created, model }: UpstreamChunk, target: string) {
  return {
    id: isName(id) ? id : `chatcmpl-${randomUUID()}`,
    object: OBJECT,
    created: created && Number.isInteger(created) ? created : Math.floor(Date.now() / 1000),
    model: isName(model) ? model : target,
  } as const;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isServiceTier(value: UpstreamChunk['service_tier']): boolean {
  return value == null || SERVICE_TIERS.has(value);
}

/** Adds the events of one choice. */
function addEvents({ delta }: Choice, events: Draft[]) {
  const before = events.length;
  const reasoning = delta.reasoning_content || delta.reasoning;
  if (reasoning) events.push({ type: 'reasoning', data: { content: reasoning } });
  if (delta.content) events.push({ type: 'message', data: { content: delta.content } });
  if (delta.refusal) events.push({ type: 'refusal', data: { content: delta.refusal } });
  delta.tool_calls?.forEach((call) => events.push(toolCall(call)));
  if (delta.function_call) events.push(toolCall({ index: 0, function: delta.function_call }));
  if (events.length > before) return;
  const data = otherContent(delta);
  if (data) events.push({ type: 'delta', data });
}

function countReasons(choices: readonly Choice[]): number {
  let count = 0;
  for (const { finish_reason } of choices) if (finish_reason) count += 1;
  return count;
}

/** @param call what of it OpenAI's type does not know is its newer kind, whose input is no JSON */
function toolCall(call: ToolCall & { custom?: { name?: string; input?: string } }): Draft {
  const { index, id, function: called, custom } = call;
  const name = called?.name ?? custom?.name;
  return {
    type: 'tool_call',
    data: {
      index,
      ...(id && { id }),
      ...(name && { name }),
      arguments: called?.arguments ?? custom?.input ?? '',
    },
  };
}

/** A chunk's own fields without usage and without what OpenAI's schema forbids. */
function standardFields({ usage, ...fields }: UpstreamChunk) {
  if (typeof fields.system_fingerprint !== 'string') delete fields.system_fingerprint;
  if (!isServiceTier(fields.service_tier)) delete fields.service_tier;
  return fields as Omit<ChatCompletionChunk, 'usage'>;
}

function finishOnly({ index, finish_reason }: Choice): Choice {
  return { index, delta: {}, logprobs: null, finish_reason };
}

/** Whether anything in it can be a number of tokens. */
function hasCounts(usage: Partial<CompletionUsage>): boolean {
  const { prompt_tokens, completion_tokens, total_tokens } = usage;
  return isCount(prompt_tokens) || isCount(completion_tokens) || isCount(total_tokens);
}

/** The usage with the three counts that clients rely on; some services leave out the sum. */
function usageOf({ usage }: UpstreamChunk): CompletionUsage {
  const { prompt_tokens, completion_tokens, total_tokens, ...details } = usage!;
  const given: object = Object.fromEntries(
    Object.entries<unknown>(details).filter(([, value]) => value !== null),
  );
  const prompt = isCount(prompt_tokens) ? prompt_tokens : 0;
  const completion = isCount(completion_tokens) ? completion_tokens : 0;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: isCount(total_tokens) ? total_tokens : prompt + completion,
    ...given,
  };
}
