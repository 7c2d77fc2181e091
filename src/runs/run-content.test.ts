import { describe, expect, it } from '@jest/globals';
import type { ChatRequest } from '../providers/chat-provider.js';
import { contentOfRun } from './run-content.js';

describe(contentOfRun.name, () => {
  it('should leave out what is not as OpenAI has it', () => {
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', tool_calls: [{}] },
    ] as unknown as ChatRequest['messages'];
    const output = [{ type: 'message', data: { content: 'Ho' }, seq: 2 } as const];

    expect(contentOfRun({ messages }, output)).toEqual({
      input: [
        { role: 'user', parts: [{ type: 'text', content: 'Hi' }] },
        { role: 'assistant', parts: [] },
      ],
      output: [{ role: 'assistant', parts: [{ type: 'text', content: 'Ho' }] }],
    });
  });
});
