import { applyDecorators } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiResponse } from '@nestjs/swagger';
import { ApiRunOptions, RUN_HEADERS, schemaOf, text } from '../chat.openapi.js';
import { stopRequestSchema, uiRequestSchema } from './ui-request.schema.js';

const EXAMPLE = {
  id: 'chat-1',
  trigger: 'submit-message',
  messages: [{ id: 'message-1', role: 'user', parts: [{ type: 'text', text: 'やっほ' }] }],
};

const STREAM = `data: {"type":"start","messageId":"run_7f0c…","messageMetadata":{"runId":"run_7f0c…","model":"openai/gpt-4o-mini"}}

data: {"type":"start-step"}

data: {"type":"text-start","id":"text-1"}

data: {"type":"text-delta","id":"text-1","delta":"Hello"}

data: {"type":"text-end","id":"text-1"}

data: {"type":"finish-step"}

data: {"type":"finish","finishReason":"stop","messageMetadata":{"usage":{"inputTokens":9,"outputTokens":1,"totalTokens":10,"source":"provider"}}}

data: [DONE]

`;

/** The stream of a UI message, and the failures that come before it. */
const ApiMessage = (description: string) =>
  applyDecorators(
    ApiResponse({
      status: 200,
      description,
      headers: {
        ...RUN_HEADERS,
        'x-vercel-ai-ui-message-stream': { schema: { type: 'string', enum: ['v1'] } },
      },
      content: { 'text/event-stream': text(STREAM) },
    }),
    ApiResponse({
      status: 'default',
      description: 'A failure, as a sentence that a page can show.',
      content: { 'text/plain': { schema: { type: 'string' } } },
    }),
  );

export const ApiUISend = () =>
  applyDecorators(
    ApiOperation({ summary: "The AI SDK's useChat: start a run and view it as a UI message" }),
    ApiRunOptions(),
    ApiBody({ schema: schemaOf(uiRequestSchema), examples: { text: { value: EXAMPLE } } }),
    ApiMessage('A UI message stream. Its last part is one of `finish`, `abort` and `error`.'),
  );

export const ApiUIResume = () =>
  applyDecorators(
    ApiOperation({ summary: 'View what a chat is generating, from its start' }),
    ApiMessage('A UI message stream, replayed, then live.'),
    ApiResponse({ status: 204, description: 'The chat generates nothing.' }),
  );

export const ApiUIStop = () =>
  applyDecorators(
    ApiOperation({ summary: 'Stop what a chat is generating; idempotent' }),
    ApiBody({ required: false, schema: schemaOf(stopRequestSchema) }),
    ApiResponse({ status: 200, description: '`{"success":true}`' }),
  );
