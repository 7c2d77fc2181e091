import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { RoutingModule } from '../routing/routing.module.js';
import { RunsModule } from '../runs/runs.module.js';
import { ChatErrorFilter } from './chat-error.filter.js';
import { ChatController } from './chat.controller.js';
import { ChatService } from './chat.service.js';
import { NativeStreams } from './native.streams.js';
import { OpenAIController } from './openai.controller.js';
import { RunEventsController } from './run-events.controller.js';

@Module({
  imports: [RunsModule, RoutingModule],
  controllers: [ChatController, RunEventsController, OpenAIController],
  providers: [ChatService, NativeStreams, { provide: APP_FILTER, useClass: ChatErrorFilter }],
})
export class ChatModule {}
