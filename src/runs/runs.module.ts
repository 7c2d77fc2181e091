import { Module } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config.js';
import { LimitsModule } from '../limits/limits.module.js';
import { REDIS, type RedisConnection } from '../redis/redis-connection.js';
import { RoutingModule } from '../routing/routing.module.js';
import { ChatsService } from './chats.service.js';
import { DrainService } from './drain.service.js';
import { MemoryRunStore } from './memory.run-store.js';
import { RedisRunStore } from './redis/redis.run-store.js';
import { RUN_STORE } from './run-store.js';
import { RunRecords } from './run-record.js';
import { RunsController } from './runs.controller.js';
import { RunMetrics } from './run.metrics.js';
import { RunsService } from './runs.service.js';
import { RunsTelemetry } from './runs.telemetry.js';
import { TokenCounter } from './token-counter.js';
import { UsageEstimator } from './usage-estimator.js';

@Module({
  imports: [LimitsModule, RoutingModule],
  controllers: [RunsController],
  providers: [
    RunsService,
    RunsTelemetry,
    RunMetrics,
    ChatsService,
    DrainService,
    RunRecords,
    TokenCounter,
    UsageEstimator,
    {
      provide: RUN_STORE,
      inject: [CONFIG, REDIS],
      useFactory: (config: Config, redis?: RedisConnection) => {
        const retention = {
          retentionMs: config.RUN_RETENTION_SECONDS * 1000,
          maxSize: config.MAX_RETAINED_BYTES,
        };
        return redis ? new RedisRunStore(redis, retention) : new MemoryRunStore(retention);
      },
    },
  ],
  exports: [RunsService, ChatsService, DrainService, RunRecords, UsageEstimator, RUN_STORE],
})
export class RunsModule {}
