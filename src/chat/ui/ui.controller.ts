import { Body, Controller, Get, HttpCode, Param, Post, Res, UseGuards } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { FromCaller, type Caller } from '../../access/caller.js';
import { RefuseHead } from '../../http/refuse-head.guard.js';
import { SchemaPipe } from '../schema.pipe.js';
import { ApiUIResume, ApiUISend, ApiUIStop } from './ui.openapi.js';
import { stopRequestSchema, type StopRequest } from './ui-request.schema.js';
import { UIService } from './ui.service.js';

/** The AI SDK's UI message stream, at an address of its own. */
@ApiTags('ui')
@Controller('v1/chat/ui')
export class UIController {
  constructor(private readonly ui: UIService) {}

  @Post()
  @HttpCode(200)
  @ApiUISend()
  send(@Body() body: unknown, @Res() response: Response): Promise<void> {
    return this.ui.send(body, response);
  }
}

/** What `useChat` calls beside its `POST`, whose default address is also Ollama's. */
@ApiTags('ui')
@Controller(['v1/chat/ui/:chatId', 'api/chat/:chatId'])
export class UIChatController {
  constructor(private readonly ui: UIService) {}

  @Get('stream')
  @UseGuards(new RefuseHead())
  @ApiUIResume()
  resume(@Param('chatId') chatId: string, @Res() response: Response): Promise<void> {
    return this.ui.resume(chatId, response);
  }

  @Post('stop')
  @HttpCode(200)
  @ApiUIStop()
  async stop(
    @Param('chatId') chatId: string,
    @FromCaller() caller: Caller,
    @Body(new SchemaPipe(stopRequestSchema)) body: StopRequest,
  ) {
    await this.ui.stop(chatId, body, caller);
    return { success: true };
  }
}
