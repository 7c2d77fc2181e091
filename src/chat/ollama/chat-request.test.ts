import { describe, expect, it } from '@jest/globals';
import { EXTENSIONS } from '../../providers/chat-provider.js';
import { ofChat, ollamaChatSchema } from './chat-request.js';

function translate(body: object) {
  return ofChat(ollamaChatSchema.parse(body)) as unknown as Record<PropertyKey, unknown>;
}

/** The request as a service that speaks OpenAI's API gets it. */
function onTheWire(body: object): unknown {
  return JSON.parse(JSON.stringify(translate(body)));
}

function messagesOf(...messages: object[]): unknown {
  return translate({ messages }).messages;
}

describe(ofChat.name, () => {
  it('says nothing that the request does not', () => {
    const messages = [{ role: 'user', content: 'hi' }];
    expect(onTheWire({ model: 'm', messages, stream: true })).toEqual({ messages });
  });

  it('says nothing for what ollama-python sends for nothing', () => {
    const body = { messages: [], tools: [], format: '', options: null, think: null };
    expect(onTheWire(body)).toEqual({ messages: [] });
    expect(onTheWire({ options: { stop: [] } })).toEqual({ messages: [] });
  });

  it("turns options into OpenAI's parameters, and leaves out what is about running a model", () => {
    const options = {
      temperature: 0,
      top_p: 0.5,
      top_k: 40,
      min_p: 0.1,
      seed: 7,
      stop: ['END'],
      frequency_penalty: 0.1,
      presence_penalty: null,
      num_predict: 64,
      num_ctx: 8192,
      num_gpu: 1,
    };
    expect(onTheWire({ options })).toEqual({
      messages: [],
      temperature: 0,
      top_p: 0.5,
      top_k: 40,
      min_p: 0.1,
      seed: 7,
      stop: ['END'],
      frequency_penalty: 0.1,
      max_tokens: 64,
    });
  });

  it.each([-1, -2, 0])('takes num_predict %p for no limit', (num_predict) => {
    expect(onTheWire({ options: { num_predict } })).toEqual({ messages: [] });
  });

  it("keeps Ollama's own parameters for a provider that knows them", () => {
    const own = { think: true, options: { num_ctx: 8192 }, keep_alive: '5m', truncate: false };
    expect(translate({ ...own, shift: null })[EXTENSIONS]).toEqual(own);
  });

  it.each([
    ['low', 'low'],
    ['max', 'xhigh'],
    [true, undefined],
    [false, undefined],
  ])('turns think %p into the effort %p', (think, reasoning_effort) => {
    expect(translate({ think }).reasoning_effort).toBe(reasoning_effort);
  });

  it('turns a format into a response format', () => {
    const schema = { type: 'object', properties: { constructor: { type: 'string' } } };
    expect(translate({ format: 'json' }).response_format).toEqual({ type: 'json_object' });
    expect(translate({ format: schema }).response_format).toEqual({
      type: 'json_schema',
      json_schema: { name: 'answer', schema },
    });
  });

  it.each([
    ['iVBORw0KGgo=', 'data:image/png;base64,iVBORw0KGgo='],
    ['/9j/4AAQ', 'data:image/jpeg;base64,/9j/4AAQ'],
    ['R0lGODlh', 'data:image/gif;base64,R0lGODlh'],
    ['UklGRgAA', 'data:image/webp;base64,UklGRgAA'],
    ['AAAA', 'data:image/jpeg;base64,AAAA'],
    ['data:image/bmp;base64,Qk0=', 'data:image/bmp;base64,Qk0='],
  ])('turns the image %p into a part', (image, url) => {
    expect(messagesOf({ role: 'user', content: 'What is it?', images: [image] })).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is it?' },
          { type: 'image_url', image_url: { url } },
        ],
      },
    ]);
  });

  it('turns tool calls and their results by name into calls and results by id', () => {
    const messages = messagesOf(
      { role: 'User', content: 'Weather?' },
      {
        role: 'assistant',
        thinking: 'Two cities.',
        tool_calls: [
          { function: { name: 'weather', arguments: { city: 'Zürich' } } },
          { function: { name: 'time' } },
          { id: 'call_own', function: { name: 'weather', arguments: { city: 'Tokyo' } } },
        ],
      },
      { role: 'tool', tool_name: 'weather', content: '3 °C' },
      { role: 'tool', tool_name: 'weather', content: '9 °C' },
      { role: 'tool', content: 'noon' },
    );
    const call = (id: string, name: string, json: string) => ({
      id,
      type: 'function',
      function: { name, arguments: json },
    });
    expect(messages).toEqual([
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: '',
        reasoning_content: 'Two cities.',
        tool_calls: [
          call('call_1_0', 'weather', '{"city":"Zürich"}'),
          call('call_1_1', 'time', '{}'),
          call('call_own', 'weather', '{"city":"Tokyo"}'),
        ],
      },
      { role: 'tool', content: '3 °C', tool_call_id: 'call_1_0' },
      { role: 'tool', content: '9 °C', tool_call_id: 'call_own' },
      { role: 'tool', content: 'noon', tool_call_id: 'call_1_1' },
    ]);
  });

  it('keeps the ids of clients that have them, in any order', () => {
    const weather = { function: { name: 'weather' } };
    const messages = messagesOf(
      {
        role: 'assistant',
        tool_calls: [
          { id: 'a', ...weather },
          { id: 'b', ...weather },
        ],
      },
      { role: 'tool', tool_call_id: 'b', tool_name: 'weather', content: 'second' },
      { role: 'tool', tool_name: 'weather', content: 'first' },
    ) as { tool_call_id?: string }[];
    expect(messages.map(({ tool_call_id }) => tool_call_id)).toEqual([undefined, 'b', 'a']);
  });

  it('gives the result of a call that never was an id all the same', () => {
    expect(messagesOf({ role: 'tool', tool_name: 'weather', content: '3 °C' })).toEqual([
      { role: 'tool', content: '3 °C', tool_call_id: 'call_weather' },
    ]);
  });
});
