import { Body, Controller, Get, HttpCode, Param, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { ChatError } from '../errors/chat-error.js';
import { RouterService } from '../routing/router.service.js';
import { chatRequestSchema, type ChatRequestBody } from './chat-request.schema.js';
import { ApiCompletion } from './chat.openapi.js';
import { ChatService } from './chat.service.js';
import { assembleCompletion } from './dialects/completion.js';
import { cancelled, openaiDialect } from './dialects/openai.dialect.js';
import { writeResponse } from './response.writer.js';
import { asksToResume } from './run-options.js';
import { SchemaPipe } from './schema.pipe.js';
import type { Viewer } from './viewer.js';

/** OpenAI's API, for clients that have nothing changed but their base URL. */
@ApiTags('openai')
@Controller('v1')
export class OpenAIController {
  constructor(
    private readonly chat: ChatService,
    private readonly router: RouterService,
  ) {}

  @Post('chat/completions')
  @HttpCode(200)
  @ApiCompletion()
  async createCompletion(
    @Body(new SchemaPipe(chatRequestSchema)) body: ChatRequestBody,
    @Res() response: Response,
  ): Promise<void> {
    const viewer = await this.chat.start(body, response);
    if (!body.stream) return answer(viewer, response);
    await viewer.opened();
    const includeUsage = body.stream_options?.include_usage ?? false;
    const isResumable = asksToResume(response.req);
    return writeResponse(viewer, openaiDialect({ includeUsage, isResumable }), response);
  }

  @Get('models')
  listModels() {
    return { object: 'list', data: this.router.listModels().map(modelOf) };
  }

  @Get('models/*id')
  getModel(@Param('id') path: string | string[]) {
    const id = Array.isArray(path) ? path.join('/') : path;
    if (this.router.listModels().includes(id)) return modelOf(id);
    throw new ChatError('model_not_found', `There is no model named ${JSON.stringify(id)}.`);
  }
}

async function answer(viewer: Viewer, response: Response): Promise<void> {
  const end = await viewer.finished();
  // Nobody is there to be answered.
  if (end === undefined) return;
  if (end.type === 'error') throw end.error;
  if (end.type === 'cancelled') throw cancelled();
  response.json(assembleCompletion(viewer.run.log.entries));
}

function modelOf(id: string) {
  return { id, object: 'model', created: 0, owned_by: id.split('/')[0] };
}
