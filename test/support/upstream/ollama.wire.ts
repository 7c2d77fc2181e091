import type { ToolCall } from './texts.js';
import { PROMPT_TOKENS, type Delta, type ErrorFields, type Wire } from './wire.js';

/** https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion */
export class OllamaWire implements Wire {
  readonly contentType = 'application/x-ndjson';
  frame = (json: string) => `${json}\n`;
  usageAt: Wire['usageAt'] = 'finish';

  constructor(public model: string) {}

  role() {
    return [];
  }

  /** Ollama has one choice only, and refuses in its content. */
  delta({ content, reasoning, refusal }: Delta, choice: number) {
    if (choice > 0) return [];
    return [this.#line({ content: content ?? refusal ?? '', thinking: reasoning })];
  }

  tools(calls: readonly ToolCall[]) {
    const toolCalls = calls.map((call) => ({
      function: { name: call.name, arguments: JSON.parse(call.arguments) as unknown },
    }));
    return [this.#line({ content: '', tool_calls: toolCalls })];
  }

  finish(reason: string, completionTokens: number, choice: number, content = ''): object[] {
    if (choice > 0) return [];
    return [
      {
        ...this.#line({ content }),
        done: true,
        done_reason: reason === 'tool_calls' ? 'stop' : reason,
        ...(this.usageAt === 'finish' && countsOf(completionTokens)),
      },
    ];
  }

  usage() {
    return [];
  }

  whole(content: string, completionTokens: number): object {
    return this.finish('stop', completionTokens, 0, content)[0]!;
  }

  errorBody(_status: number, error: ErrorFields): object {
    return this.errorChunk(error);
  }

  errorChunk(error: ErrorFields): object {
    return { error: error.message };
  }

  #line(message: object) {
    return {
      model: this.model,
      created_at: new Date().toISOString(),
      message: { role: 'assistant', ...message },
      done: false,
    };
  }
}

/** Durations are in nanoseconds. */
function countsOf(completionTokens: number) {
  return {
    total_duration: 4_883_583_458,
    load_duration: 1_334_875,
    prompt_eval_count: PROMPT_TOKENS,
    prompt_eval_duration: 342_546_000,
    eval_count: completionTokens,
    eval_duration: 4_535_599_000,
  };
}
