import { Module } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config.js';
import { RoutingModule } from '../routing/routing.module.js';
import { DrainService } from './drain.service.js';
import { MemoryRunStore } from './memory.run-store.js';
import { RUN_STORE } from './run-store.js';
import { RunsController } from './runs.controller.js';
import { RunsService } from './runs.service.js';
import { TokenCounter } from './token-counter.js';
import { UsageEstimator } from './usage-estimator.js';

@Module({
  imports: [RoutingModule],
  controllers: [RunsController],
  providers: [
    RunsService,
    DrainService,
    TokenCounter,
    UsageEstimator,
    {
      provide: RUN_STORE,
      inject: [CONFIG],
      useFactory: (config: Config) =>
        new MemoryRunStore({
          retentionMs: config.RUN_RETENTION_SECONDS * 1000,
          maxSize: config.MAX_RETAINED_BYTES,
        }),
    },
  ],
  exports: [RunsService, DrainService],
})
export class RunsModule {}
