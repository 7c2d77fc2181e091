import { describe, expect, it } from '@jest/globals';
import { ChatError } from '../../errors/chat-error.js';
import { toChatRequest } from './chat-request.js';
import { isUiRequest, uiRequestSchema } from './ui-request.schema.js';

interface Message {
  role: string;
  parts: object[];
}

function translate(messages: Message[], body: object = {}) {
  const request = uiRequestSchema.parse({
    id: 'chat',
    trigger: 'submit-message',
    messages,
    ...body,
  });
  return toChatRequest(request);
}

const user = (...parts: object[]): Message => ({ role: 'user', parts });
const assistant = (...parts: object[]): Message => ({ role: 'assistant', parts });
const text = (value: string) => ({ type: 'text', text: value });
const file = (mediaType: string, url: string, filename?: string) => ({
  type: 'file',
  mediaType,
  url,
  filename,
});
const tool = (state: string, more: object = {}) => ({
  type: 'tool-get_weather',
  toolCallId: 'call_1',
  state,
  input: { city: 'Zürich' },
  ...more,
});

const TOOL_CALL = {
  id: 'call_1',
  type: 'function',
  function: { name: 'get_weather', arguments: '{"city":"Zürich"}' },
};

function contentOf(...parts: object[]): unknown {
  return translate([user(...parts)]).messages[0]?.content;
}

describe(toChatRequest.name, () => {
  it('takes texts as they are', () => {
    const system = { role: 'system', parts: [text('Be '), text('brief.')] };
    expect(translate([system, user(text('hi')), assistant(text('Hello'))]).messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'Hello' },
    ]);
  });

  it('sends images by their URL, and other files with their data', () => {
    const pdf = 'data:application/pdf;base64,JVBERi0=';
    expect(
      contentOf(
        text('What is this?'),
        file('image/png', 'https://example.com/a.png'),
        file('application/pdf', pdf, 'a.pdf'),
        file('audio/mpeg', 'data:audio/mpeg;base64,SUQz'),
        file('text/markdown', 'data:text/markdown;base64,R3LDvMOfZQ=='),
      ),
    ).toEqual([
      { type: 'text', text: 'What is this?' },
      { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
      { type: 'file', file: { filename: 'a.pdf', file_data: pdf } },
      { type: 'input_audio', input_audio: { data: 'SUQz', format: 'mp3' } },
      { type: 'text', text: 'Grüße' },
    ]);
  });

  it('refuses a link to a file that no service would follow', () => {
    const link = file('application/pdf', 'https://example.com/a.pdf');
    const asking = () => contentOf(text('Read this.'), link);
    expect(asking).toThrow(ChatError);
    expect(asking).toThrow(
      'messages.0.parts.1: a file of type application/pdf must come as a data: URL in base64.',
    );
  });

  it('keeps to itself what is for the page alone', () => {
    const source = { type: 'source-url', sourceId: 's', url: 'https://example.com' };
    const data = { type: 'data-weather', data: { city: 'Zürich' } };
    const reasoning = { type: 'reasoning', text: 'Hm' };
    const parts = [reasoning, source, data, { type: 'of-tomorrow' }];
    expect(translate([user(text('hi'), data), assistant(...parts, text('Yes'))]).messages).toEqual([
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'Yes' },
    ]);
  });

  it('makes every step a message, with the results of its tools behind it', () => {
    const step = { type: 'step-start' };
    const result = tool('output-available', { output: { degrees: 21 } });
    expect(translate([assistant(step, text('Let me see.'), result, step, text('21°'))])).toEqual({
      messages: [
        { role: 'assistant', content: 'Let me see.', tool_calls: [TOOL_CALL] },
        { role: 'tool', tool_call_id: 'call_1', content: '{"degrees":21}' },
        { role: 'assistant', content: '21°' },
      ],
    });
  });

  it.each([
    ['output-available', { output: 'sunny' }, 'sunny'],
    ['output-available', {}, 'null'],
    ['output-error', { errorText: 'no network' }, 'no network'],
    ['output-denied', { approval: { id: 'a', approved: false, reason: 'Not now.' } }, 'Not now.'],
    ['output-denied', {}, 'The tool call was denied.'],
    ['input-available', {}, 'The tool call was not answered.'],
    ['approval-requested', {}, 'The tool call was not answered.'],
  ])('answers a call in the state %s, with %j, by %j', (state, more, content) => {
    expect(translate([assistant(tool(state, more))]).messages).toEqual([
      { role: 'assistant', content: null, tool_calls: [TOOL_CALL] },
      { role: 'tool', tool_call_id: 'call_1', content },
    ]);
  });

  it('knows a dynamic tool by its name, and arguments that came to nothing', () => {
    const dynamic = { type: 'dynamic-tool', toolName: 'mcp_search', toolCallId: 'call_2' };
    const failed = { ...dynamic, state: 'output-error', rawInput: '{"x', errorText: 'not JSON' };
    const toolCall = { id: 'call_2', type: 'function' };
    expect(translate([assistant(failed)]).messages[0]).toMatchObject({
      tool_calls: [{ ...toolCall, function: { name: 'mcp_search', arguments: '{}' } }],
    });
  });

  it('leaves out a call that was cut off', () => {
    const { messages } = translate([user(text('hi')), assistant(tool('input-streaming'))]);
    expect(messages).toEqual([{ role: 'user', content: 'hi' }]);
  });

  it("passes parameters on, and nothing of the application's own", () => {
    const parameters = { model: 'openai/gpt-4o', temperature: 0, tools: [], seed: 7 };
    const own = { messageId: 'm', sessionId: 's', metadata: {} };
    expect(translate([user(text('hi'))], { ...parameters, ...own })).toEqual({
      ...parameters,
      messages: [{ role: 'user', content: 'hi' }],
    });
  });

  it('gives one answer', () => {
    expect(() => translate([user(text('hi'))], { n: 2 })).toThrow('n must be 1');
  });

  it.each([[text(undefined as never)], [{ type: 'tool-f' }], [{ type: 'dynamic-tool' }], [{}]])(
    'refuses the broken part %j',
    (part) => {
      const result = uiRequestSchema.safeParse({ messages: [user(part)] });
      expect(result.error?.issues[0]).toMatchObject({
        path: ['messages', 0, 'parts', 0],
        message: 'expected a part of a UI message',
      });
    },
  );
});

describe(isUiRequest.name, () => {
  it.each([
    [{ trigger: 'submit-message', messages: [] }, true],
    [{ messages: [{ role: 'user', parts: [] }] }, true],
    [{ model: 'llama3.2', messages: [{ role: 'user', content: 'hi' }] }, false],
    [{ model: 'llama3.2' }, false],
    [{ messages: [null] }, false],
    [undefined, false],
  ])('says of %j: %s', (body, expected) => {
    expect(isUiRequest(body)).toBe(expected);
  });
});
