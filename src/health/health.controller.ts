import { Controller, Get, Res } from '@nestjs/common';
import type { Response } from 'express';
import { Public } from '../access/public.decorator.js';
import { DrainService } from '../runs/drain.service.js';

@Public()
@Controller('health')
export class HealthController {
  constructor(private readonly drain: DrainService) {}

  @Get()
  health() {
    return { status: 'ok', uptime_seconds: Math.floor(process.uptime()) };
  }

  /** The process answers. A failure here is a reason to restart it. */
  @Get('live')
  live() {
    return { status: 'ok' };
  }

  /** New requests are welcome. A failure here is a reason to send them elsewhere. */
  @Get('ready')
  ready(@Res({ passthrough: true }) response: Response) {
    if (!this.drain.isLeaving) return { status: 'ok' };
    response.status(503);
    return { status: 'shutting_down' };
  }
}
