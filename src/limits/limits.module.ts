import { Module } from '@nestjs/common';
import { REDIS, type RedisConnection } from '../redis/redis-connection.js';
import { LIMIT_STORE } from './limit-store.js';
import { LimitsService } from './limits.service.js';
import { MemoryLimitStore } from './memory.limit-store.js';
import { RedisLimitStore } from './redis/redis.limit-store.js';

@Module({
  providers: [
    LimitsService,
    {
      provide: LIMIT_STORE,
      inject: [REDIS],
      useFactory: (redis?: RedisConnection) =>
        redis ? new RedisLimitStore(redis) : new MemoryLimitStore(),
    },
  ],
  exports: [LimitsService],
})
export class LimitsModule {}
