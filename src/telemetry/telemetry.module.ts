import { Global, Module } from '@nestjs/common';
import { MetricsController } from './metrics.controller.js';
import { MetricsServer } from './metrics.server.js';
import { Metrics } from './metrics.js';
import { Tracing } from './tracing.js';

/** What happened, for those who operate it. Any module may tell; this one knows none of them. */
@Global()
@Module({
  controllers: [MetricsController],
  providers: [Metrics, MetricsServer, Tracing],
  exports: [Metrics, Tracing],
})
export class TelemetryModule {}
