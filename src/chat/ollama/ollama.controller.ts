import { Body, Controller, Get, Header, HttpCode, Post, Res } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { FromCaller, type Caller } from '../../access/caller.js';
import { Public } from '../../access/public.decorator.js';
import { SchemaPipe } from '../schema.pipe.js';
import { isUiRequest } from '../ui/ui-request.schema.js';
import { UIService } from '../ui/ui.service.js';
import { OllamaModels } from './ollama.models.js';
import { ApiOllamaChat, ApiOllamaGenerate, ApiOllamaShow } from './ollama.openapi.js';
import { OllamaService } from './ollama.service.js';
import { ollamaShowSchema, type OllamaShow } from './show-request.js';

/** The version whose API this is; VS Code wants 0.6.4 or later. */
const VERSION = '0.12.11';

/** Ollama's API, for clients that have nothing changed but their base URL. */
@ApiTags('ollama')
@Controller()
export class OllamaController {
  constructor(
    private readonly ollama: OllamaService,
    private readonly models: OllamaModels,
    private readonly ui: UIService,
  ) {}

  /** The AI SDK's `useChat` posts to the same address unless told otherwise. */
  @Post('api/chat')
  @HttpCode(200)
  @ApiOllamaChat()
  chat(@Body() body: unknown, @Res() response: Response): Promise<void> {
    return isUiRequest(body) ? this.ui.send(body, response) : this.ollama.chat(body, response);
  }

  @Post('api/generate')
  @HttpCode(200)
  @ApiOllamaGenerate()
  generate(@Body() body: unknown, @Res() response: Response): Promise<void> {
    return this.ollama.generate(body, response);
  }

  @Get('api/tags')
  @ApiOperation({ summary: 'The models' })
  tags(@FromCaller() caller: Caller) {
    return this.models.list(caller);
  }

  @Post('api/show')
  @HttpCode(200)
  @ApiOllamaShow()
  show(
    @Body(new SchemaPipe(ollamaShowSchema)) { model, name }: OllamaShow,
    @FromCaller() caller: Caller,
  ) {
    return this.models.show(model ?? name, caller);
  }

  @Get('api/ps')
  @ApiOperation({ summary: 'The models in memory: none, as none has to be loaded' })
  ps() {
    return { models: [] };
  }

  @Get('api/version')
  @ApiOperation({ summary: "The version of Ollama's API that is spoken here" })
  version() {
    return { version: VERSION };
  }

  /** What Ollama's clients look at to see whether it is there. */
  @Get()
  @Public()
  @Header('Content-Type', 'text/plain; charset=utf-8')
  @ApiOperation({ summary: 'Whether the server is there' })
  root() {
    return 'Ollama is running';
  }
}
