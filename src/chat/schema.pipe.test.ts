import { describe, expect, it } from '@jest/globals';
import type { z } from 'zod';
import { messagesRequestSchema } from './anthropic/messages.schema.js';
import { chatRequestSchema, MAX_MESSAGES } from './chat-request.schema.js';
import { SchemaPipe } from './schema.pipe.js';
import { uiRequestSchema } from './ui/ui-request.schema.js';

const many = <T>(count: number, each: T): T[] => Array.from({ length: count }, () => each);

const message = (content: unknown) => ({ messages: [{ role: 'user', content }] });

describe(SchemaPipe.name, () => {
  const transform = (body: unknown, schema: z.ZodType = chatRequestSchema) =>
    new SchemaPipe(schema).transform(body);

  it.each<[string, z.ZodType, object]>([
    [
      'parts of a page',
      uiRequestSchema,
      { messages: [{ role: 'user', parts: many(33_000, { type: 'tool-x' }) }] },
    ],
    [
      "Anthropic's blocks",
      messagesRequestSchema,
      { model: 'm', max_tokens: 1, ...message(many(99_000, {})) },
    ],
    ["OpenAI's parts", chatRequestSchema, message(many(99_000, {}))],
  ])('should be done with the first of very many bad %s', (_name, schema, body) => {
    const startedAt = performance.now();
    expect(() => transform(body, schema)).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/^messages\.0\./) }),
    );
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it('should take as many messages as there may be', () => {
    const content = [{ type: 'text', text: 'Hi' }];
    const messages = many(MAX_MESSAGES, { role: 'user', content });
    expect(transform({ messages })).toEqual({ messages });
  });

  it.each<[string, unknown]>([
    ['over 100000 values', message(many(100_000, 'x'))],
    ['over 100000 values', Object.fromEntries(many(100_000, 0).map((_, at) => [at, at]))],
    [
      'nested over 256 levels',
      { nested: JSON.parse('['.repeat(300) + ']'.repeat(300)) as unknown },
    ],
    ['a number that is too large', { seed: JSON.parse('-1e400') as unknown }],
  ])('should refuse a body that has, or is, %s', (what, body) => {
    expect(() => transform(body)).toThrow(what);
  });
});
