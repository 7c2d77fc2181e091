import { Injectable } from '@nestjs/common';
import type { ChatRequest } from '../providers/chat-provider.js';
import type { Usage } from './entry.js';
import { TokenCounter } from './token-counter.js';

/** What OpenAI's chat format adds to each message and to the whole, in tokens. */
const MESSAGE_TOKENS = 3;
const REPLY_TOKENS = 3;

/** Estimates the tokens of a request, and the usage of a run whose provider gave no count. */
@Injectable()
export class UsageEstimator {
  constructor(private readonly counter: TokenCounter) {}

  /** The tokens of a request, without those of its images and files. */
  async countPrompt(request: ChatRequest): Promise<number> {
    return (await this.estimate(request, '')).prompt_tokens;
  }

  async estimate(request: ChatRequest, generated: string): Promise<Usage> {
    const { messages } = request;
    const counted = [promptOf(request), generated];
    const [asked = 0, completion_tokens = 0] = await this.counter.count(counted);
    const prompt_tokens = asked + MESSAGE_TOKENS * messages.length + REPLY_TOKENS;
    return {
      prompt_tokens,
      completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
      source: 'estimated',
    };
  }
}

/** What the model is shown: the messages, the calls in them, and the tools that it may call. */
function promptOf({ messages, tools }: ChatRequest): string {
  const shown = messages.flatMap((message) => [
    textOf(message.content),
    ...('tool_calls' in message && message.tool_calls ? [jsonOf(message.tool_calls)] : []),
  ]);
  return [...shown, ...(tools ? [jsonOf(tools)] : [])].join(' ');
}

function textOf(content: ChatRequest['messages'][number]['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => ('text' in part ? part.text : '')).join(' ');
}

/** What is nested too deeply to be written can't be counted, and went to no provider either. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return '';
  }
}
