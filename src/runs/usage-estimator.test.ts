import { describe, expect, it } from '@jest/globals';
import type { ChatRequest } from '../providers/chat-provider.js';
import type { TokenCounter } from './token-counter.js';
import { UsageEstimator } from './usage-estimator.js';

const DEPTH = 100_000;

describe(UsageEstimator.name, () => {
  it('estimates a request with tools that are nested too deeply to be written', async () => {
    const counter = { count: (texts: string[]) => Promise.resolve(texts.map(() => 1)) };
    const estimator = new UsageEstimator(counter as TokenCounter);
    const request: ChatRequest = {
      messages: [{ role: 'user', content: 'hi' }],
      tools: JSON.parse('['.repeat(DEPTH) + ']'.repeat(DEPTH)) as unknown,
    };
    expect(await estimator.estimate(request, '')).toMatchObject({ total_tokens: 8 });
  });
});
