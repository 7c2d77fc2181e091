import { describe, expect, it } from '@jest/globals';
import { ofPrompt, ollamaGenerateSchema } from './generate-request.js';

function translate(body: object): unknown {
  return JSON.parse(JSON.stringify(ofPrompt(ollamaGenerateSchema.parse(body))));
}

describe(ofPrompt.name, () => {
  it('turns a prompt, its system prompt and its images into a conversation', () => {
    const body = {
      model: 'm',
      prompt: 'What is it?',
      system: 'Be brief.',
      images: ['iVBORw0KGgo='],
      options: { num_predict: 5 },
      format: 'json',
    };
    expect(translate(body)).toEqual({
      max_tokens: 5,
      response_format: { type: 'json_object' },
      messages: [
        { role: 'system', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is it?' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
          ],
        },
      ],
    });
  });

  it('takes what ollama-python sends for nothing', () => {
    const nothing = { system: '', template: '', suffix: '', context: [], images: [], raw: false };
    expect(translate({ prompt: 'hi', ...nothing })).toEqual({
      messages: [{ role: 'user', content: 'hi' }],
    });
  });

  it.each([{}, { prompt: '' }, { prompt: null, system: 'Be brief.' }])(
    'asks nothing where there is no prompt: %j',
    (body) => expect(translate(body)).toEqual({ messages: [] }),
  );

  it.each([
    [{ prompt: 'a', suffix: 'b' }, 'suffix', /fill in the middle/],
    [{ prompt: 'a', context: [1, 2] }, 'context', /\/api\/chat/],
  ])('refuses what no chat model can do: %j', (body, param, message) => {
    const issue = ollamaGenerateSchema.safeParse(body).error?.issues[0];
    expect(issue?.path).toEqual([param]);
    expect(issue?.message).toMatch(message);
  });
});
