import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AccessModule } from '../access/access.module.js';
import { RoutingModule } from '../routing/routing.module.js';
import { RunsModule } from '../runs/runs.module.js';
import { MessagesController } from './anthropic/messages.controller.js';
import { MessagesService } from './anthropic/messages.service.js';
import { AllowedModels } from './allowed-models.service.js';
import { ChatErrorFilter } from './chat-error.filter.js';
import { ChatController } from './chat.controller.js';
import { ChatService } from './chat.service.js';
import { CompletionsService } from './completions.service.js';
import { ModelsController } from './models.controller.js';
import { ModelsService } from './models.service.js';
import { NativeStreams } from './native.streams.js';
import { OllamaController } from './ollama/ollama.controller.js';
import { OllamaModels } from './ollama/ollama.models.js';
import { OllamaService } from './ollama/ollama.service.js';
import { AzureController, OpenAIController } from './openai.controller.js';
import { Revocation } from './revocation.service.js';
import { RunEventsController } from './run-events.controller.js';
import { UIChatController, UIController } from './ui/ui.controller.js';
import { UIService } from './ui/ui.service.js';

@Module({
  imports: [AccessModule, RunsModule, RoutingModule],
  controllers: [
    ChatController,
    RunEventsController,
    OpenAIController,
    AzureController,
    OllamaController,
    UIController,
    UIChatController,
    MessagesController,
    ModelsController,
  ],
  providers: [
    AllowedModels,
    ChatService,
    Revocation,
    CompletionsService,
    MessagesService,
    ModelsService,
    NativeStreams,
    UIService,
    OllamaModels,
    OllamaService,
    { provide: APP_FILTER, useClass: ChatErrorFilter },
  ],
})
export class ChatModule {}
