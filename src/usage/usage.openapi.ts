import { applyDecorators } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiResponse } from '@nestjs/swagger';
import { COUNTERS } from './usage-store.js';

const counts = Object.fromEntries(COUNTERS.map((name) => [name, { type: 'integer' as const }]));

const DESCRIPTION = `One row a model and day of UTC, the day on which the run started. A run that failed or
was cancelled counts with what was generated. \`estimated_tokens\` are those of the total that no
provider counted; \`unseen_tokens\` were generated after the last viewer had left.`;

export const ApiUsage = () =>
  applyDecorators(
    ApiOperation({ summary: 'What this key used, by day and model', description: DESCRIPTION }),
    ApiQuery({ name: 'start', required: false, example: '2026-01-01', description: 'First day.' }),
    ApiQuery({ name: 'end', required: false, description: 'Last day. Default: today.' }),
    ApiQuery({ name: 'model', required: false, description: '`<provider>/<model>` alone.' }),
    ApiResponse({
      status: 200,
      schema: {
        type: 'object',
        properties: {
          object: { type: 'string', enum: ['list'] },
          start: { type: 'string', format: 'date' },
          end: { type: 'string', format: 'date' },
          data: {
            type: 'array',
            items: {
              type: 'object',
              properties: {
                date: { type: 'string', format: 'date' },
                model: { type: 'string' },
                ...counts,
              },
            },
          },
          total: { type: 'object', properties: counts },
        },
      },
    }),
    ApiResponse({ status: 400, description: 'A day that is none, or more days than are kept' }),
    ApiResponse({ status: 503, description: 'Redis is away' }),
  );
