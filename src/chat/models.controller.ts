import { Controller, Get, Param, Req } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { ModelsService } from './models.service.js';

const ApiVersion = () =>
  ApiHeader({
    name: 'anthropic-version',
    required: false,
    description: "Any value asks for Anthropic's shape.",
  });

/** The models, for clients of OpenAI's, Azure's and Anthropic's API. */
@ApiTags('openai', 'anthropic')
@Controller(['v1/models', 'openai/v1/models', 'openai/models'])
export class ModelsController {
  constructor(private readonly models: ModelsService) {}

  @Get()
  @ApiOperation({ summary: 'The models' })
  @ApiVersion()
  list(@Req() request: Request) {
    return this.models.list(request);
  }

  @Get('*id')
  @ApiOperation({ summary: 'A model, listed or not; its slashes may be raw or encoded' })
  @ApiParam({ name: 'id', type: String })
  @ApiVersion()
  get(@Param('id') path: string | string[], @Req() request: Request) {
    return this.models.get([path].flat().join('/'), request);
  }
}
