import { Global, Module } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config.js';
import { REDIS, RedisConnection } from './redis-connection.js';

@Global()
@Module({
  providers: [
    {
      provide: REDIS,
      inject: [CONFIG],
      useFactory: ({ REDIS_URL, REDIS_PREFIX }: Config) =>
        REDIS_URL ? new RedisConnection(REDIS_URL, REDIS_PREFIX) : undefined,
    },
  ],
  exports: [REDIS],
})
export class RedisModule {}
