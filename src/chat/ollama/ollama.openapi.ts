import { applyDecorators } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiResponse } from '@nestjs/swagger';
import { ApiRunOptions, schemaOf } from '../chat.openapi.js';
import { ollamaChatSchema } from './chat-request.js';
import { ollamaGenerateSchema } from './generate-request.js';
import { ollamaShowSchema } from './show-request.js';

const CHAT_LINES = `{"model":"llama3.2","created_at":"2026-01-01T00:00:00.000Z","message":{"role":"assistant","content":"Hello"},"done":false}
{"model":"llama3.2","created_at":"2026-01-01T00:00:00.000Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",…}
`;

const GENERATE_LINES = `{"model":"llama3.2","created_at":"2026-01-01T00:00:00.000Z","response":"Hello","done":false}
{"model":"llama3.2","created_at":"2026-01-01T00:00:00.000Z","response":"","done":true,"done_reason":"stop",…}
`;

export const ApiOllamaChat = () =>
  applyDecorators(
    ApiOperation({ summary: "Ollama's chat, streaming unless `stream` is false" }),
    ApiRunOptions(),
    ApiBody({
      schema: schemaOf(ollamaChatSchema),
      examples: { text: { value: { messages: [{ role: 'user', content: 'やっほ' }] } } },
    }),
    ApiLines(CHAT_LINES),
  );

export const ApiOllamaGenerate = () =>
  applyDecorators(
    ApiOperation({ summary: "Ollama's answer to a prompt, streaming unless `stream` is false" }),
    ApiRunOptions(),
    ApiBody({
      schema: schemaOf(ollamaGenerateSchema),
      examples: { text: { value: { prompt: 'やっほ' } } },
    }),
    ApiLines(GENERATE_LINES),
  );

export const ApiOllamaShow = () =>
  applyDecorators(
    ApiOperation({ summary: 'What a model can do' }),
    ApiBody({ schema: schemaOf(ollamaShowSchema) }),
    ApiResponse({ status: 200, schema: { type: 'object' } }),
    ApiFailure(),
  );

function ApiLines(example: string) {
  return applyDecorators(
    ApiResponse({
      status: 200,
      description:
        'An object a line; the last has `done`, with counts and durations in nanoseconds, or `error`.',
      content: {
        'application/x-ndjson': { schema: { type: 'string' }, example },
        'application/json': { schema: { type: 'object' } },
      },
    }),
    ApiFailure(),
  );
}

function ApiFailure() {
  return ApiResponse({
    status: 'default',
    description: 'A failure before the first byte.',
    schema: { type: 'object', properties: { error: { type: 'string' } } },
  });
}
