import { applyDecorators } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiResponse } from '@nestjs/swagger';
import {
  ApiErrors,
  ApiRunOptions,
  RUN_HEADERS,
  schemaOf,
  text,
  type Schema,
} from '../chat.openapi.js';
import { messagesRequestSchema, promptSchema } from './messages.schema.js';

const PROMPT = { model: 'demo', messages: [{ role: 'user', content: 'やっほ' }] };

const EVENTS = `event: message_start
data: {"type":"message_start","message":{"id":"msg_7f0c…","type":"message","role":"assistant",…}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn",…},"usage":{"input_tokens":9,"output_tokens":1,…}}

event: message_stop
data: {"type":"message_stop"}

`;

export const ApiMessage = () =>
  applyDecorators(
    ApiOperation({ summary: "Anthropic's messages, streaming or not" }),
    ApiRunOptions(),
    ApiBody({
      schema: schemaOf(messagesRequestSchema),
      examples: { text: { value: { ...PROMPT, max_tokens: 1024 } } },
    }),
    ApiResponse({
      status: 200,
      description: 'A message or, with `stream`, its events; a failure among them is `error`.',
      headers: RUN_HEADERS,
      content: {
        'application/json': { schema: { type: 'object' } },
        'text/event-stream': text(EVENTS),
      },
    }),
    ApiErrors(ERROR),
  );

export const ApiCountTokens = () =>
  applyDecorators(
    ApiOperation({ summary: 'An estimate of how many tokens a request has' }),
    ApiBody({ schema: schemaOf(promptSchema), examples: { text: { value: PROMPT } } }),
    ApiResponse({
      status: 200,
      schema: { type: 'object', properties: { input_tokens: { type: 'integer' } } },
    }),
    ApiErrors(ERROR),
  );

const ERROR: Schema = {
  type: 'object',
  properties: {
    type: { type: 'string', enum: ['error'] },
    error: {
      type: 'object',
      properties: {
        type: { type: 'string' },
        message: { type: 'string' },
        details: { type: 'object', properties: { error_code: { type: 'string' } } },
      },
    },
    request_id: { type: 'string' },
  },
};
