import { Module } from '@nestjs/common';
import { AccessModule } from './access/access.module.js';
import { ChatModule } from './chat/chat.module.js';
import { ConfigModule } from './config/config.module.js';
import { DoctorModule } from './doctor/doctor.module.js';
import { HealthModule } from './health/health.module.js';
import { HttpModule } from './http/http.module.js';
import { PlaygroundModule } from './playground/playground.module.js';
import { RedisModule } from './redis/redis.module.js';
import { TelemetryModule } from './telemetry/telemetry.module.js';
import { UsageModule } from './usage/usage.module.js';

@Module({
  imports: [
    ConfigModule,
    TelemetryModule,
    HttpModule,
    RedisModule,
    AccessModule,
    HealthModule,
    // At `/` the page comes first, and leaves to Ollama's API what is for that.
    PlaygroundModule,
    ChatModule,
    UsageModule,
    DoctorModule,
  ],
})
export class AppModule {}
