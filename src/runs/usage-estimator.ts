import { Injectable } from '@nestjs/common';
import type { ChatRequest } from '../providers/chat-provider.js';
import type { Usage } from './entry.js';
import { TokenCounter } from './token-counter.js';

/** What OpenAI's chat format adds to each message and to the whole, in tokens. */
const MESSAGE_TOKENS = 3;
const REPLY_TOKENS = 3;

/** Estimates the usage of a run whose provider gave no count, as when it was cut. */
@Injectable()
export class UsageEstimator {
  constructor(private readonly counter: TokenCounter) {}

  async estimate({ messages }: ChatRequest, generated: string): Promise<Usage> {
    const prompt = messages.map(({ content }) => textOf(content)).join(' ');
    const [asked = 0, completion_tokens = 0] = await this.counter.count([prompt, generated]);
    const prompt_tokens = asked + MESSAGE_TOKENS * messages.length + REPLY_TOKENS;
    return {
      prompt_tokens,
      completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
      source: 'estimated',
    };
  }
}

function textOf(content: ChatRequest['messages'][number]['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => ('text' in part ? part.text : '')).join(' ');
}
