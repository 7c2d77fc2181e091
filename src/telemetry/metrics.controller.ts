import { Controller, Get, Inject, NotFoundException, Res } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { CONFIG, type Config } from '../config/config.js';
import { Metrics } from './metrics.js';

@ApiTags('operations')
@Controller('metrics')
export class MetricsController {
  constructor(
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Metrics for Prometheus, unless they have a port of their own' })
  async get(@Res() response: Response) {
    if (this.config.METRICS_PORT !== undefined) throw new NotFoundException();
    const text = await this.metrics.text();
    response.set('Content-Type', this.metrics.contentType).send(text);
  }
}
