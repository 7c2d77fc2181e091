import { Controller, Get, Inject, Query, Res } from '@nestjs/common';
import { ApiQuery } from '@nestjs/swagger';
import type { Response } from 'express';
import { Public } from '../access/public.decorator.js';
import { CONFIG, type Config } from '../config/config.js';
import { RouterService } from '../routing/router.service.js';
import { TargetHealth } from '../routing/target-health.js';
import { DrainService } from '../runs/drain.service.js';
import { RUN_STORE, type RunStore } from '../runs/run-store.js';

@Public()
@Controller('health')
export class HealthController {
  constructor(
    private readonly drain: DrainService,
    private readonly targetHealth: TargetHealth,
    private readonly router: RouterService,
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
  @ApiQuery({ name: 'verbose', required: false, description: 'Tells of the targets too.' })
  ready(@Query('verbose') verbose: unknown, @Res({ passthrough: true }) response: Response) {
    const { isDegraded } = this.store;
    const isReady = !this.drain.isLeaving && !(isDegraded && this.config.READY_REQUIRES_REDIS);
    response.status(isReady ? 200 : 503);
    const status = this.drain.isLeaving ? 'shutting_down' : isDegraded ? 'degraded' : 'ok';
    return verbose === undefined ? { status } : { status, targets: this.targets() };
  }

  /**
   * A target that is out makes nobody unready: the others may answer, and none does it elsewhere. Those
   * that nobody configured have names that callers made up, which are not for everybody.
   */
  private targets() {
    const targets = this.targetHealth.list();
    const configured = targets.filter(({ name }) => this.router.labelsOf(name).target === name);
    return configured.map(({ name, breaker, bulkhead }) => ({
      target: name,
      state: breaker.state,
      failures: breaker.failures,
      probe_in_ms: Math.ceil(breaker.waitMs),
      active: bulkhead.active,
      waiting: bulkhead.waiting,
    }));
  }
}
