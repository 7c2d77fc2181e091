import { randomUUID } from 'node:crypto';
import type { ToolCall } from './texts.js';
import { PROMPT_TOKENS, type Delta, type ErrorFields, type Wire } from './wire.js';

/** https://platform.openai.com/docs/api-reference/chat-streaming */
export class OpenAiWire implements Wire {
  readonly contentType = 'text/event-stream; charset=utf-8';
  readonly doneMark = '[DONE]';
  frame = (json: string) => `data: ${json}\n\n`;
  usageAt: Wire['usageAt'];

  readonly #id = `chatcmpl-${randomUUID()}`;
  readonly #created = Math.floor(Date.now() / 1000);

  constructor(
    public model: string,
    includeUsage: boolean,
  ) {
    this.usageAt = includeUsage ? 'last-chunk' : 'never';
  }

  role(choice: number) {
    return [this.#choice(choice, { role: 'assistant', content: '', refusal: null })];
  }

  delta({ content, reasoning, refusal }: Delta, choice: number) {
    return [this.#choice(choice, { content, reasoning_content: reasoning, refusal })];
  }

  /** The heads of all calls first, then their arguments in turns: parallel calls interleave. */
  tools(calls: readonly ToolCall[]) {
    const heads = calls.map(({ id, name }, index) =>
      this.#tool({ index, id, type: 'function', function: { name, arguments: '' } }),
    );
    const fragments = calls.map((call) => call.arguments.match(/.{1,8}/gsu) ?? []);
    const turns = Math.max(...fragments.map((list) => list.length));
    const deltas = Array.from({ length: turns }, (_, turn) =>
      fragments.flatMap((list, index) =>
        list[turn] === undefined ? [] : this.#tool({ index, function: { arguments: list[turn] } }),
      ),
    );
    return [...heads, ...deltas.flat()];
  }

  finish(reason: string, completionTokens: number, choice: number, content?: string) {
    const chunk = this.#choice(choice, { content }, reason);
    return [this.usageAt === 'finish' ? { ...chunk, usage: usageOf(completionTokens) } : chunk];
  }

  usage(completionTokens: number): object[] {
    if (this.usageAt !== 'last-chunk') return [];
    return [{ ...this.#chunk([]), usage: usageOf(completionTokens) }];
  }

  whole(content: string, completionTokens: number): object {
    const message = { role: 'assistant', content, refusal: null };
    return {
      ...this.#chunk([{ index: 0, message, logprobs: null, finish_reason: 'stop' }]),
      object: 'chat.completion',
      usage: usageOf(completionTokens),
    };
  }

  errorBody(_status: number, error: ErrorFields): object {
    return { error };
  }

  errorChunk(error: ErrorFields): object {
    return { error };
  }

  #tool(call: object) {
    return this.#choice(0, { tool_calls: [call] });
  }

  #choice(index: number, delta: object, finishReason: string | null = null) {
    return this.#chunk([{ index, delta, logprobs: null, finish_reason: finishReason }]);
  }

  #chunk(choices: object[]) {
    return {
      id: this.#id,
      object: 'chat.completion.chunk',
      created: this.#created,
      model: this.model,
      system_fingerprint: 'fp_upstream',
      choices,
      ...(this.usageAt === 'last-chunk' && { usage: null }),
    };
  }
}

/** Azure's gateway answers in its own, shorter form where OpenAI's code was not reached. */
export class AzureWire extends OpenAiWire {
  override errorBody(status: number, error: ErrorFields): object {
    if (status === 400 || status === 422) return super.errorBody(status, error);
    const code = status === 404 ? 'DeploymentNotFound' : String(status);
    return { error: { code, message: error.message } };
  }
}

function usageOf(completionTokens: number) {
  return {
    prompt_tokens: PROMPT_TOKENS,
    completion_tokens: completionTokens,
    total_tokens: PROMPT_TOKENS + completionTokens,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}
