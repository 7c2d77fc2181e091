import { Module } from '@nestjs/common';
import { REDIS, type RedisConnection } from '../redis/redis-connection.js';
import { RunsModule } from '../runs/runs.module.js';
import { MemoryUsageStore } from './memory.usage-store.js';
import { RedisUsageStore } from './redis/redis.usage-store.js';
import { USAGE_STORE } from './usage-store.js';
import { UsageController } from './usage.controller.js';
import { UsageService } from './usage.service.js';

@Module({
  imports: [RunsModule],
  controllers: [UsageController],
  providers: [
    UsageService,
    {
      provide: USAGE_STORE,
      inject: [REDIS],
      useFactory: (redis?: RedisConnection) =>
        redis ? new RedisUsageStore(redis) : new MemoryUsageStore(),
    },
  ],
})
export class UsageModule {}
