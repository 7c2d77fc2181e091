import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import type { ChatRequestBody } from './chat-request.schema.js';
import { ChatService } from './chat.service.js';
import { assembleCompletion } from './dialects/completion.js';
import { openaiDialect } from './dialects/openai.dialect.js';
import { writeResponse, writeWhole } from './response.writer.js';
import { asksToResume } from './run-options.js';

/** Answers requests in OpenAI's form, whichever provider generates. */
@Injectable()
export class CompletionsService {
  constructor(private readonly chat: ChatService) {}

  /** @throws {ChatError} a failure before the first byte */
  async create(body: ChatRequestBody, response: Response): Promise<void> {
    const viewer = await this.chat.start(body, response);
    if (!body.stream) {
      return writeWhole(viewer, response, ({ log }) => assembleCompletion(log.entries));
    }
    await viewer.opened();
    const includeUsage = body.stream_options?.include_usage ?? false;
    const isResumable = asksToResume(response.req);
    writeResponse(viewer, openaiDialect({ includeUsage, isResumable }), response);
  }
}
