import { applyDecorators } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiResponse } from '@nestjs/swagger';

const SIZE = 'What each event has beside its own time, in bytes that do not compress.';
const HINT = 'Whether X-Accel-Buffering asks proxies not to buffer.';

export const ApiProbe = () =>
  applyDecorators(
    ApiOperation({ summary: 'A stream whose events say when they were sent' }),
    ApiQuery({ name: 'id', description: '8 to 64 letters, digits, - or _.' }),
    ApiQuery({ name: 'every_ms', type: 'integer', description: 'From one event to the next.' }),
    ApiQuery({ name: 'for_ms', type: 'integer', description: 'Until the end.' }),
    ApiQuery({ name: 'bytes', type: 'integer', required: false, description: SIZE }),
    ApiQuery({ name: 'as', required: false, enum: ['event', 'comment'] }),
    ApiQuery({ name: 'hint', required: false, enum: ['on', 'off'], description: HINT }),
    ApiResponse({ status: 200, content: { 'text/event-stream': { schema: { type: 'string' } } } }),
    ApiResponse({ status: 409, description: 'A probe of this id goes on.' }),
  );
