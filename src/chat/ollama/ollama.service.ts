import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { callerOf } from '../../access/caller.js';
import type { ChatRequestBody } from '../chat-request.schema.js';
import { ChatService } from '../chat.service.js';
import { ollamaDialect, wholeAnswer, type OllamaOptions } from '../dialects/ollama.dialect.js';
import { writeResponse, writeWhole } from '../response.writer.js';
import { SchemaPipe } from '../schema.pipe.js';
import { toAnswer } from './answer.js';
import { ofChat, ollamaChatSchema, type OllamaChat } from './chat-request.js';
import { ofPrompt, ollamaGenerateSchema, type OllamaGenerate } from './generate-request.js';
import { OllamaModels } from './ollama.models.js';

const CHAT = new SchemaPipe(ollamaChatSchema);
const GENERATE = new SchemaPipe(ollamaGenerateSchema);

/** Answers requests in Ollama's form, whichever provider generates. */
@Injectable()
export class OllamaService {
  constructor(
    private readonly chatService: ChatService,
    private readonly models: OllamaModels,
  ) {}

  /** @throws {ChatError} a failure before the first byte */
  async chat(body: unknown, response: Response): Promise<void> {
    const asked = CHAT.transform(body);
    return this.answer(asked, ofChat(asked), 'chat', response);
  }

  /** @throws {ChatError} a failure before the first byte */
  async generate(body: unknown, response: Response): Promise<void> {
    const asked = GENERATE.transform(body);
    return this.answer(asked, ofPrompt(asked), 'generate', response);
  }

  private async answer(
    asked: OllamaChat | OllamaGenerate,
    request: ChatRequestBody,
    route: OllamaOptions['route'],
    response: Response,
  ): Promise<void> {
    const model = this.models.find(asked.model, callerOf(response.req));
    const options = { route, model: asked.model ?? undefined };
    if (request.messages.length === 0) {
      const end = { done_reason: isZero(asked.keep_alive) ? 'unload' : 'load' };
      response.json(toAnswer(route, asked.model ?? '', new Date().toISOString(), {}, end));
      return;
    }
    const viewer = await this.chatService.start({ ...request, model }, response);
    if (asked.stream === false) {
      return writeWhole(viewer, response, (run) => wholeAnswer(run, options));
    }
    await viewer.opened();
    writeResponse(viewer, ollamaDialect(options), response);
  }
}

/** Whether a duration, in seconds or as `5m`, is none. */
function isZero(keepAlive?: number | string | null): boolean {
  return keepAlive != null && Number.parseFloat(String(keepAlive)) === 0;
}
