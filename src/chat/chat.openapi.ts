import { applyDecorators } from '@nestjs/common';
import {
  ApiBody,
  ApiHeader,
  ApiOperation,
  ApiQuery,
  ApiResponse,
  type ApiResponseOptions,
} from '@nestjs/swagger';
import { z } from 'zod';
import { ERROR_CODES } from '../errors/chat-error.js';
import { chatRequestSchema } from './chat-request.schema.js';
import { FORMATS } from './dialects/formats.js';

export type Schema = NonNullable<Extract<ApiResponseOptions, { schema: unknown }>['schema']>;

const chatRequest = schemaOf(chatRequestSchema);

const EXAMPLE = { messages: [{ role: 'user', content: 'やっほ' }] };

const EVENTS = `event: start
id: run_7f0c…:1
retry: 1000
data: {"id":"run_7f0c…","model":"openai/gpt-4o-mini","created":1790000000}

id: run_7f0c…:2
data: {"content":"Hello"}

event: done
id: run_7f0c…:3
data: {"finish_reason":"stop","model":"openai/gpt-4o-mini","usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,"source":"provider"}}

`;

const EVENTS_DESCRIPTION = `Server-sent events. Text deltas are unnamed events; \`start\` is the first,
\`reasoning\`, \`refusal\`, \`tool_call\` and \`delta\` (what else there is, such as audio) come as they are
generated, and the last is exactly one of \`done\`, \`cancelled\` and \`error\`
(\`{"code","message","retryable","usage"}\`). Comments are heartbeats.`;

export const RUN_HEADERS = {
  'Sluice-Run-Id': { description: 'The run that this response shows.', schema: { type: 'string' } },
  'X-Request-Id': {
    description: "The caller's own where it was well-formed.",
    schema: { type: 'string' },
  },
} as const;

export const text = (example: string) => ({ schema: { type: 'string' as const }, example });

/** What a request may send. */
export function schemaOf(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' }) as Schema;
}

/** What a route takes that starts a run, beside its body: in a header or in the query. */
export function ApiRunOptions() {
  const key = {
    required: false,
    description: 'Requests with the same one share one run. 1 to 255 characters.',
  };
  const policy = {
    required: false,
    description:
      'What becomes of the run when its last viewer leaves: `cancel`, `grace=<seconds>` or `continue`.',
  };
  return applyDecorators(
    ApiHeader({ name: 'Idempotency-Key', ...key }),
    ApiQuery({ name: 'idempotency_key', ...key }),
    ApiHeader({ name: 'Sluice-On-Disconnect', ...policy }),
    ApiQuery({ name: 'on_disconnect', ...policy }),
  );
}

/** A route that streams a run in the native dialect, or in the format that is asked for. */
export const ApiStream = () =>
  applyDecorators(
    ApiHeader({ name: 'Last-Event-ID', required: false, description: '`<run>:<number>`' }),
    ApiQuery({ name: 'format', required: false, enum: FORMATS, description: 'Default: json.' }),
    ApiResponse({
      status: 200,
      description: EVENTS_DESCRIPTION,
      headers: RUN_HEADERS,
      content: { 'text/event-stream': text(EVENTS), 'text/plain': text('Hello') },
    }),
    ApiResponse({ status: 204, description: 'The event is the last of its run.' }),
    ApiErrors(),
  );

export const ApiChatRequest = () =>
  applyDecorators(
    ApiOperation({ summary: 'Start a run and view it; after a cursor, view that run again' }),
    ApiRunOptions(),
    ApiBody({ schema: chatRequest, examples: { text: { value: EXAMPLE } } }),
  );

export const ApiQuestion = () =>
  applyDecorators(
    ApiOperation({ summary: 'The same for EventSource, which can only send a URL' }),
    ApiQuery({
      name: 'q',
      required: false,
      description: "The user's message. It can be left out after a cursor.",
      example: 'やっほ',
    }),
    ApiQuery({ name: 'model', required: false }),
    ApiRunOptions(),
  );

export const ApiCompletion = () =>
  applyDecorators(
    ApiOperation({ summary: "OpenAI's chat completions, streaming or not" }),
    ApiRunOptions(),
    ApiBody({ schema: chatRequest, examples: { text: { value: EXAMPLE } } }),
    ApiResponse({
      status: 200,
      description: 'A chat completion or, with `stream`, its chunks and `[DONE]`.',
      headers: RUN_HEADERS,
      content: {
        'application/json': { schema: { type: 'object' } },
        'text/event-stream': text('data: {"object":"chat.completion.chunk",…}\n\ndata: [DONE]\n\n'),
      },
    }),
    ApiErrors(),
  );

const STATUSES: Record<number, string> = {
  400: 'The request is bad, or the provider rejected it (with its own status)',
  401: 'No key, or a wrong one',
  403: 'Not allowed',
  404: 'No such model or run',
  409: 'The run was cancelled (when not streaming)',
  410: 'The events of the run are no longer kept',
  413: 'The body is too large',
  415: 'The body is not JSON',
  422: 'The idempotency key came with another request',
  429: 'A rate limit, with Retry-After',
  431: 'Too many headers',
  500: 'A fault of the server',
  502: 'The provider failed',
  503: 'The server cannot serve now, with Retry-After',
  504: 'The provider was too slow',
};

const OPENAI_ERROR: Schema = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: { type: 'string', nullable: true },
        code: {
          type: 'string',
          description: `One of ${ERROR_CODES.join(', ')}; or the provider's own.`,
        },
      },
    },
  },
};

/** The failures that come before the first byte. */
export function ApiErrors(error = OPENAI_ERROR) {
  const headers = {
    'x-should-retry': { schema: { type: 'string' as const, enum: ['true', 'false'] } },
    'Retry-After': { description: 'Seconds.', schema: { type: 'string' as const } },
  };
  return applyDecorators(
    ...Object.entries(STATUSES).map(([status, description]) =>
      ApiResponse({ status: Number(status), description, headers, schema: error }),
    ),
  );
}
