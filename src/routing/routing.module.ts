import { Module } from '@nestjs/common';
import { ProvidersModule } from '../providers/providers.module.js';
import { RouterService } from './router.service.js';
import { RoutingMetrics } from './routing.metrics.js';
import { TargetHealth } from './target-health.js';

@Module({
  imports: [ProvidersModule],
  providers: [RouterService, RoutingMetrics, TargetHealth],
  exports: [RouterService, TargetHealth],
})
export class RoutingModule {}
