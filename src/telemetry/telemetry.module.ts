import { Global, Module } from '@nestjs/common';
import { EventLoopDelay } from './event-loop-delay.js';
import { MetricsController } from './metrics.controller.js';
import { MetricsServer } from './metrics.server.js';
import { Metrics } from './metrics.js';
import { Tracing } from './tracing.js';

/** What happened, for those who operate it. Any module may tell; this one knows none of them. */
@Global()
@Module({
  controllers: [MetricsController],
  providers: [Metrics, MetricsServer, EventLoopDelay, Tracing],
  exports: [Metrics, Tracing],
})
export class TelemetryModule {}
