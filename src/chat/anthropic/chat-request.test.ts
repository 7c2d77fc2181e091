import { describe, expect, it } from '@jest/globals';
import { EXTENSIONS } from '../../providers/chat-provider.js';
import { SchemaPipe } from '../schema.pipe.js';
import { toChatRequest } from './chat-request.js';
import { messagesRequestSchema } from './messages.schema.js';

const pipe = new SchemaPipe(messagesRequestSchema);

const USER = { role: 'user', content: 'hi' };
const MINIMAL = { model: 'm', max_tokens: 100, messages: [USER] };

/** What goes on, as JSON: parameters that are not there are not sent. */
function translated(request: object): Record<string, unknown> {
  const chat = toChatRequest(pipe.transform({ ...MINIMAL, ...request }));
  return JSON.parse(JSON.stringify(chat)) as Record<string, unknown>;
}

function messagesOf(...messages: object[]) {
  return translated({ messages }).messages;
}

function refusalOf(request: object): string {
  try {
    pipe.transform({ ...MINIMAL, ...request });
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('was taken');
}

describe(toChatRequest.name, () => {
  it('says what a minimal request says, and no more', () => {
    expect(translated({})).toEqual({ model: 'm', messages: [USER], max_completion_tokens: 100 });
  });

  it('takes the system prompt as a text or as blocks', () => {
    const system = { role: 'system', content: 'Be brief.\nBe kind.' };
    const blocks = [
      { type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } },
      { type: 'text', text: 'Be kind.', cache_control: { type: 'ephemeral', ttl: '1h' } },
    ];
    expect(translated({ system: system.content }).messages).toEqual([system, USER]);
    expect(translated({ system: blocks }).messages).toEqual([system, USER]);
    expect(translated({ messages: [USER, { role: 'system', content: blocks }] }).messages).toEqual([
      USER,
      system,
    ]);
  });

  it('sends text as one string, and parts where there is more than text', () => {
    const text = { type: 'text', text: 'What is this?' };
    expect(messagesOf({ role: 'user', content: [text, { ...text, text: 'Tell me.' }] })).toEqual([
      { role: 'user', content: 'What is this?\nTell me.' },
    ]);

    const png = { type: 'base64', media_type: 'image/png', data: 'AAAA' };
    const notes = { type: 'text', media_type: 'text/plain', data: 'notes' };
    const pdf = { type: 'base64', media_type: 'application/pdf', data: 'BBBB' };
    const content = [
      { type: 'image', source: png },
      { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
      { type: 'document', source: pdf, title: 'a.pdf' },
      { type: 'document', source: notes },
      { type: 'document', source: notes, title: 'A', context: 'From 2020' },
      { type: 'document', source: pdf, context: 'From 2020' },
      text,
    ];
    expect(messagesOf({ role: 'user', content })).toEqual([
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
          { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
          {
            type: 'file',
            file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,BBBB' },
          },
          { type: 'text', text: 'notes' },
          { type: 'text', text: 'A\n\nFrom 2020\n\nnotes' },
          { type: 'text', text: 'From 2020' },
          {
            type: 'file',
            file: { filename: 'document', file_data: 'data:application/pdf;base64,BBBB' },
          },
          text,
        ],
      },
    ]);
  });

  it('sends calls with their message and results after it, each on its own', () => {
    const png = { type: 'base64', media_type: 'image/png', data: 'AAAA' };
    const messages = messagesOf(
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Two calls.', signature: 'abc' },
          { type: 'redacted_thinking', data: 'abc' },
          { type: 'text', text: 'Let me see.' },
          { type: 'tool_use', id: 'toolu_1', name: 'look', input: { at: 'it' } },
          { type: 'tool_use', id: 'toolu_2', name: 'stop', input: {} },
        ],
      },
      {
        role: 'user',
        content: [
          {
            type: 'tool_result',
            tool_use_id: 'toolu_1',
            content: [
              { type: 'text', text: 'a cat' },
              { type: 'image', source: png },
            ],
          },
          { type: 'tool_result', tool_use_id: 'toolu_2', content: 'no', is_error: true },
          { type: 'tool_result', tool_use_id: 'toolu_3' },
          { type: 'text', text: 'Go on.' },
        ],
      },
    );
    expect(messages).toEqual([
      {
        role: 'assistant',
        content: 'Let me see.',
        tool_calls: [
          { id: 'toolu_1', type: 'function', function: { name: 'look', arguments: '{"at":"it"}' } },
          { id: 'toolu_2', type: 'function', function: { name: 'stop', arguments: '{}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'toolu_1', content: 'a cat' },
      { role: 'tool', tool_call_id: 'toolu_2', content: 'Error: no' },
      { role: 'tool', tool_call_id: 'toolu_3', content: '' },
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
          { type: 'text', text: 'Go on.' },
        ],
      },
    ]);
  });

  it('sends no text where the assistant only called, and no user where only tools answered', () => {
    const call = { type: 'tool_use', id: 'toolu_1', name: 'f', input: {} };
    const result = { type: 'tool_result', tool_use_id: 'toolu_1', content: 'done' };
    expect(
      messagesOf({ role: 'assistant', content: [call] }, { role: 'user', content: [result] }),
    ).toEqual([
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'toolu_1', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'toolu_1', content: 'done' },
    ]);
  });

  const tool = {
    name: 'f',
    description: 'does it',
    input_schema: { type: 'object', properties: { constructor: { type: 'string' } } },
    cache_control: { type: 'ephemeral' },
  };

  it('translates tools and leaves their schemas alone', () => {
    const { name, description, input_schema: parameters } = tool;
    expect(translated({ tools: [tool] })).toMatchObject({
      tools: [{ type: 'function', function: { name, description, parameters } }],
    });
    expect(translated({ tools: [{ ...tool, type: 'custom', strict: true }] })).toMatchObject({
      tools: [{ type: 'function', function: { strict: true } }],
    });
    expect(translated({ tools: [], tool_choice: { type: 'auto' } })).toEqual(translated({}));
  });

  it.each([
    [{ type: 'auto' }, { tool_choice: 'auto' }],
    [{ type: 'any' }, { tool_choice: 'required' }],
    [{ type: 'none' }, { tool_choice: 'none' }],
    [{ type: 'tool', name: 'f' }, { tool_choice: { type: 'function', function: { name: 'f' } } }],
    [
      { type: 'auto', disable_parallel_tool_use: true },
      { tool_choice: 'auto', parallel_tool_calls: false },
    ],
  ])('translates the choice %j', (tool_choice, expected) => {
    const { tools, messages, model, max_completion_tokens, ...rest } = translated({
      tools: [tool],
      tool_choice,
    });
    expect(rest).toEqual(expected);
  });

  const EMPTY = { type: 'object', additionalProperties: false };
  const OPTIONAL = { ...EMPTY, properties: { note: { type: 'string' } } };

  it.each<[object, object]>([
    [{ stream: true }, { stream: true }],
    [{ stop_sequences: ['a', 'b'] }, { stop: ['a', 'b'] }],
    [{ stop_sequences: [] }, {}],
    [
      { temperature: 0, top_p: 0.5, top_k: 3 },
      { temperature: 0, top_p: 0.5, top_k: 3 },
    ],
    [{ metadata: { user_id: 'u-1' } }, { user: 'u-1' }],
    [
      { metadata: { user_id: 'u'.repeat(65) } },
      { user: '8g4knRX6S59EuiHRVPYuHvp23f3OXSUTmjOkeHzuWos' },
    ],
    [{ thinking: { type: 'disabled' }, output_config: { effort: 'max' } }, {}],
    [{ thinking: { type: 'adaptive' } }, {}],
    [{ thinking: { type: 'enabled', budget_tokens: 4_096 } }, { reasoning_effort: 'low' }],
    [{ thinking: { type: 'enabled', budget_tokens: 10_000 } }, { reasoning_effort: 'medium' }],
    [{ thinking: { type: 'enabled', budget_tokens: 31_999 } }, { reasoning_effort: 'high' }],
    [
      { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } },
      { reasoning_effort: 'low' },
    ],
    [{ output_config: { effort: 'max' } }, { reasoning_effort: 'high' }],
    [
      { output_config: { format: { type: 'json_schema', schema: EMPTY } } },
      {
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'answer', schema: EMPTY, strict: true },
        },
      },
    ],
    [
      { output_format: { type: 'json_schema', schema: EMPTY } },
      {
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'answer', schema: EMPTY, strict: true },
        },
      },
    ],
    [
      { output_config: { format: { type: 'json_schema', schema: OPTIONAL } } },
      {
        response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: OPTIONAL } },
      },
    ],
    [{ service_tier: 'auto', context_management: { edits: [] } }, {}],
    [{ mcp_servers: [], container: null }, {}],
    [{ mcp_servers: null }, {}],
  ])('translates %j', (request, expected) => {
    expect(translated(request)).toEqual({ ...translated({}), ...expected });
  });

  it('tells models of Ollama that they shall not think', () => {
    const request = pipe.transform({ ...MINIMAL, thinking: { type: 'disabled' } });
    expect(toChatRequest(request)).toMatchObject({ [EXTENSIONS]: { think: false } });
  });
});

describe('a Messages request', () => {
  it.each<[object, string]>([
    [{ max_tokens: undefined }, 'max_tokens: '],
    [{ max_tokens: 0 }, 'max_tokens: '],
    [{ model: undefined }, 'model: '],
    [{ messages: [] }, 'messages: '],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages.0.role: '],
    [
      { messages: [{ role: 'user', content: 7 }] },
      'messages.0.content: expected a text or an array of content blocks',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'video' }] }] },
      'messages.0.content.0.type: not a block that can be used here',
    ],
    [
      { messages: [{ role: 'assistant', content: [{ type: 'server_tool_use' }] }] },
      'messages.0.content.0.type: not a block that can be used here',
    ],
    [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages.0.content.0.text: '],
    [
      { tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
      "tools.0.input_schema: expected a JSON schema: Anthropic's own tools can't be used",
    ],
    [
      { mcp_servers: [{ type: 'url', url: 'https://mcp.example', name: 'docs' }] },
      "mcp_servers: is not supported: Anthropic's connector can't be used",
    ],
    [{ container: 'container_1' }, "container: is not supported: Anthropic's can't be used"],
    [{ container: { skills: [] } }, "container: is not supported: Anthropic's can't be used"],
    [{ tool_choice: { type: 'some' } }, 'tool_choice.type: '],
  ])('%j is refused, and told where', (request, message) => {
    expect(refusalOf(request)).toContain(message);
  });
});
