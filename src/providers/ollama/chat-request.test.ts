import { describe, expect, it } from '@jest/globals';
import { ChatError } from '../../errors/chat-error.js';
import { EXTENSIONS } from '../chat-provider.js';
import { toOllamaRequest } from './chat-request.js';

/** The body as Ollama gets it. */
function translate(request: object): Record<string, unknown> {
  const body = toOllamaRequest('llama3.2', { messages: [], ...request });
  return JSON.parse(JSON.stringify(body)) as Record<string, unknown>;
}

function messagesOf(...messages: object[]): unknown {
  return translate({ messages }).messages;
}

function failure(request: object): ChatError {
  try {
    translate(request);
  } catch (error) {
    return error as ChatError;
  }
  throw new Error('the request was taken');
}

describe(toOllamaRequest.name, () => {
  it('asks for a stream, and for nothing that the request does not say', () => {
    expect(translate({ messages: [{ role: 'user', content: 'hi' }], user: 'u', n: 1 })).toEqual({
      model: 'llama3.2',
      stream: true,
      messages: [{ role: 'user', content: 'hi' }],
      options: {},
    });
  });

  it("takes Ollama's own parameters where a client of Ollama gave them", () => {
    const own = { think: false, keep_alive: 0, options: { num_predict: -1, num_ctx: 8192 } };
    expect(translate({ max_tokens: 5, temperature: 1, [EXTENSIONS]: own })).toMatchObject({
      think: false,
      keep_alive: 0,
      options: { temperature: 1, num_predict: -1, num_ctx: 8192 },
    });
  });

  it("turns OpenAI's parameters into options", () => {
    const { options } = translate({
      temperature: 0,
      top_p: 0.5,
      seed: 7,
      stop: 'END',
      frequency_penalty: 0.1,
      presence_penalty: null,
      max_tokens: 10,
    });
    expect(options).toEqual({
      temperature: 0,
      top_p: 0.5,
      seed: 7,
      stop: ['END'],
      frequency_penalty: 0.1,
      num_predict: 10,
    });
  });

  it('prefers max_completion_tokens to max_tokens and its own options to both', () => {
    const limits = { max_tokens: 10, max_completion_tokens: 20 };
    expect(translate(limits).options).toEqual({ num_predict: 20 });
    expect(translate({ ...limits, options: { num_predict: 30, top_k: 1 } }).options).toEqual({
      num_predict: 30,
      top_k: 1,
    });
  });

  it.each([
    [{ type: 'text' }, undefined],
    [{ type: 'json_object' }, 'json'],
    [
      { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' } } },
      { type: 'object' },
    ],
  ])('turns the response format %j into format %j', (response_format, format) => {
    expect(translate({ response_format }).format).toEqual(format);
  });

  it.each([
    ['none', false],
    ['minimal', 'low'],
    ['medium', 'medium'],
    ['xhigh', 'max'],
    [null, undefined],
  ])('turns the reasoning effort %s into think %s', (reasoning_effort, think) => {
    expect(translate({ reasoning_effort }).think).toBe(think);
  });

  it("passes Ollama's own parameters through", () => {
    const own = { keep_alive: '5m', think: true, format: 'json', truncate: false, logprobs: true };
    expect(translate({ ...own, reasoning_effort: 'none' })).toMatchObject(own);
  });

  it('offers the tools unless none may be called', () => {
    const tools = [{ type: 'function', function: { name: 'f' } }];
    expect(translate({ tools }).tools).toEqual(tools);
    expect(translate({ tools, tool_choice: 'none' }).tools).toBeUndefined();
  });

  it('refuses to answer more than once', () => {
    expect(failure({ n: 2 })).toMatchObject({ code: 'invalid_request', body: { param: 'n' } });
  });
});

describe('the messages for Ollama', () => {
  it('have the text of all parts, and images apart', () => {
    const content = [
      { type: 'text', text: 'what is' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=', detail: 'low' } },
      { type: 'text', text: 'this?' },
    ];
    expect(messagesOf({ role: 'user', content })).toEqual([
      { role: 'user', content: 'what is\nthis?', images: ['aGk='] },
    ]);
  });

  it('know no developer', () => {
    expect(messagesOf({ role: 'developer', content: 'be kind' })).toEqual([
      { role: 'system', content: 'be kind' },
    ]);
  });

  it('have tool arguments as an object and the name of the tool beside its result', () => {
    const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } };
    expect(
      messagesOf(
        { role: 'assistant', content: null, tool_calls: [call], reasoning_content: 'hm' },
        { role: 'tool', tool_call_id: 'call_1', content: '42' },
        { role: 'tool', tool_call_id: 'call_unknown', content: '43' },
      ),
    ).toEqual([
      {
        role: 'assistant',
        content: '',
        thinking: 'hm',
        tool_calls: [{ id: 'call_1', function: { name: 'f', arguments: { a: 1 } } }],
      },
      { role: 'tool', content: '42', tool_name: 'f', tool_call_id: 'call_1' },
      { role: 'tool', content: '43', tool_call_id: 'call_unknown' },
    ]);
  });

  it('take empty tool arguments as none', () => {
    const call = { id: 'call_1', function: { name: 'f', arguments: '' } };
    expect(messagesOf({ role: 'assistant', tool_calls: [call] })).toMatchObject([
      { tool_calls: [{ function: { arguments: {} } }] },
    ]);
  });

  it.each([
    [
      { content: [{ type: 'image_url', image_url: { url: 'https://example.com/cat.png' } }] },
      'messages[1].content[0].image_url.url',
      'expected a data: URL in base64, as Ollama fetches no images',
    ],
    [
      { content: [{ type: 'input_audio' }] },
      'messages[1].content[0].type',
      'expected text or image_url, as Ollama takes nothing else',
    ],
    [{ content: 7 }, 'messages[1].content', 'expected a text or an array of parts'],
    [
      { tool_calls: [{ id: '1', function: { name: 'f', arguments: '{' } }] },
      'messages[1].tool_calls[0].function.arguments',
      'expected the JSON of an object',
    ],
  ])('are refused with %j', (message, param, expected) => {
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'user', ...message },
    ];
    const error = failure({ messages });
    expect(error).toMatchObject({ code: 'invalid_request', body: { param } });
    expect(error.message).toBe(`${param}: ${expected}.`);
  });
});
