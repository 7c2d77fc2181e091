import { Module } from '@nestjs/common';
import { AccessModule } from './access/access.module.js';
import { ChatModule } from './chat/chat.module.js';
import { ConfigModule } from './config/config.module.js';
import { HealthModule } from './health/health.module.js';

@Module({ imports: [ConfigModule, AccessModule, HealthModule, ChatModule] })
export class AppModule {}
