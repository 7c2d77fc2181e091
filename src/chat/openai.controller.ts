import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { chatRequestSchema, type ChatRequestBody } from './chat-request.schema.js';
import { ApiCompletion } from './chat.openapi.js';
import { ChatService } from './chat.service.js';
import { assembleCompletion } from './dialects/completion.js';
import { openaiDialect } from './dialects/openai.dialect.js';
import { writeResponse, writeWhole } from './response.writer.js';
import { asksToResume } from './run-options.js';
import { SchemaPipe } from './schema.pipe.js';

/** OpenAI's API, for clients that have nothing changed but their base URL. */
@ApiTags('openai')
@Controller('v1')
export class OpenAIController {
  constructor(private readonly chat: ChatService) {}

  @Post('chat/completions')
  @HttpCode(200)
  @ApiCompletion()
  async createCompletion(
    @Body(new SchemaPipe(chatRequestSchema)) body: ChatRequestBody,
    @Res() response: Response,
  ): Promise<void> {
    const viewer = await this.chat.start(body, response);
    if (!body.stream)
      return writeWhole(viewer, response, ({ log }) => assembleCompletion(log.entries));
    await viewer.opened();
    const includeUsage = body.stream_options?.include_usage ?? false;
    const isResumable = asksToResume(response.req);
    return writeResponse(viewer, openaiDialect({ includeUsage, isResumable }), response);
  }
}
