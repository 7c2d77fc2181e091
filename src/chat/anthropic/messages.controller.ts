import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { FromCaller, type Caller } from '../../access/caller.js';
import { SchemaPipe } from '../schema.pipe.js';
import { ApiCountTokens, ApiMessage } from './messages.openapi.js';
import {
  messagesRequestSchema,
  promptSchema,
  type MessagesRequest,
  type Prompt,
} from './messages.schema.js';
import { MessagesService } from './messages.service.js';

/** Anthropic's API, for clients that have nothing changed but their base URL. */
@ApiTags('anthropic')
@Controller('v1/messages')
export class MessagesController {
  constructor(private readonly messages: MessagesService) {}

  @Post()
  @HttpCode(200)
  @ApiMessage()
  create(
    @Body(new SchemaPipe(messagesRequestSchema)) body: MessagesRequest,
    @Res() response: Response,
  ): Promise<void> {
    return this.messages.create(body, response);
  }

  @Post('count_tokens')
  @HttpCode(200)
  @ApiCountTokens()
  countTokens(@Body(new SchemaPipe(promptSchema)) body: Prompt, @FromCaller() caller: Caller) {
    return this.messages.countTokens(body, caller);
  }
}
