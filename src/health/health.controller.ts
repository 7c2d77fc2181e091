import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { Response } from 'express';
import { Public } from '../access/public.decorator.js';
import { CONFIG, type Config } from '../config/config.js';
import { DrainService } from '../runs/drain.service.js';
import { RUN_STORE, type RunStore } from '../runs/run-store.js';

@Public()
@Controller('health')
export class HealthController {
  constructor(
    private readonly drain: DrainService,
    @Inject(RUN_STORE) private readonly store: RunStore,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

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
    const { isDegraded } = this.store;
    const isReady = !this.drain.isLeaving && !(isDegraded && this.config.READY_REQUIRES_REDIS);
    response.status(isReady ? 200 : 503);
    if (this.drain.isLeaving) return { status: 'shutting_down' };
    return { status: isDegraded ? 'degraded' : 'ok' };
  }
}
