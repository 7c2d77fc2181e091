import type { Question } from './answer.js';

type Message = Question['messages'][number];

/** What was said so far, and what the next question goes out with. */
export class Conversation {
  private messages: Message[] = [];

  constructor(
    public model: string | undefined,
    public system: string | undefined,
    readonly maxTokens?: number,
  ) {}

  /** The request for an answer to what was said until now and this. */
  ask(content: string): Question {
    const { model, system, maxTokens } = this;
    return {
      ...(model !== undefined && { model }),
      messages: [
        ...(system === undefined ? [] : [{ role: 'system' as const, content: system }]),
        ...this.messages,
        { role: 'user', content },
      ],
      ...(maxTokens !== undefined && { max_completion_tokens: maxTokens }),
    };
  }

  /** Adds a question and its answer. */
  add(question: string, answer: string) {
    this.messages.push({ role: 'user', content: question }, { role: 'assistant', content: answer });
  }

  clear() {
    this.messages = [];
  }
}
