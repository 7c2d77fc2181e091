import { Body, Controller, HttpCode, Param, Post, Res } from '@nestjs/common';
import { ApiExcludeEndpoint, ApiParam, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { ChatError } from '../errors/chat-error.js';
import {
  chatRequestSchema,
  deploymentRequestSchema,
  deploymentSchema,
  type ChatRequestBody,
  type Deployment,
} from './chat-request.schema.js';
import { ApiCompletion } from './chat.openapi.js';
import { CompletionsService } from './completions.service.js';
import { SchemaPipe } from './schema.pipe.js';

/** OpenAI's API, for clients that have nothing changed but their base URL; and where Azure has it. */
@ApiTags('openai')
@Controller(['v1', 'openai/v1'])
export class OpenAIController {
  constructor(private readonly completions: CompletionsService) {}

  @Post('chat/completions')
  @HttpCode(200)
  @ApiCompletion()
  createCompletion(
    @Body(new SchemaPipe(chatRequestSchema)) body: ChatRequestBody,
    @Res() response: Response,
  ): Promise<void> {
    return this.completions.create(body, response);
  }

  /** Where some clients go unless told otherwise, such as the AI SDK's own OpenAI provider. */
  @Post('responses')
  @ApiExcludeEndpoint()
  createResponse() {
    const message =
      'There is no Responses API here. Call POST /v1/chat/completions; ' +
      'the AI SDK does with openai.chat(model), LangChain with useResponsesApi: false.';
    throw new ChatError('invalid_request', message, { status: 404 });
  }
}

/** The address of Azure's clients, which name the model there. Any `api-version` will do. */
@ApiTags('openai')
@Controller('openai/deployments/*model')
export class AzureController {
  constructor(private readonly completions: CompletionsService) {}

  @Post('chat/completions')
  @HttpCode(200)
  @ApiParam({ name: 'model', type: String })
  @ApiCompletion()
  createCompletion(
    @Param('model', new SchemaPipe(deploymentSchema)) model: Deployment,
    @Body(new SchemaPipe(deploymentRequestSchema)) body: ChatRequestBody,
    @Res() response: Response,
  ): Promise<void> {
    return this.completions.create({ ...body, model }, response);
  }
}
