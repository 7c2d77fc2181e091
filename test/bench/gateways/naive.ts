/** What a tutorial would have one write: `@Sse` over the SDK's own iterator. */
import 'reflect-metadata';
import {
  Body,
  Controller,
  HttpCode,
  Module,
  RequestMethod,
  Sse,
  type MessageEvent,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import OpenAI from 'openai';
import type { ChatCompletionCreateParamsStreaming } from 'openai/resources/chat/completions';
import { from, map, type Observable } from 'rxjs';
import { listening, upstreamUrl } from './relay.js';

@Controller()
class ChatController {
  private readonly openai = new OpenAI({ baseURL: upstreamUrl, apiKey: 'bench' });

  @Sse('v1/chat/stream', { method: RequestMethod.POST })
  @HttpCode(200)
  async stream(
    @Body() body: ChatCompletionCreateParamsStreaming,
  ): Promise<Observable<MessageEvent>> {
    const stream = await this.openai.chat.completions.create({ ...body, stream: true });
    return from(stream).pipe(
      map((chunk) => ({ data: { content: chunk.choices[0]?.delta.content ?? '' } })),
    );
  }
}

@Module({ controllers: [ChatController] })
class AppModule {}

const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: false });
await app.init();
// Nest's own `listen` takes no backlog.
app.getHttpServer().listen(listening);
