import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { RoutingModule } from '../routing/routing.module.js';
import { RunsModule } from '../runs/runs.module.js';
import { ChatErrorFilter } from './chat-error.filter.js';
import { ChatController } from './chat.controller.js';
import { ChatService } from './chat.service.js';
import { OpenAIController } from './openai.controller.js';

@Module({
  imports: [RunsModule, RoutingModule],
  controllers: [ChatController, OpenAIController],
  providers: [ChatService, { provide: APP_FILTER, useClass: ChatErrorFilter }],
})
export class ChatModule {}
