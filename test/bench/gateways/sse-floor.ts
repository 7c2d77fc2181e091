/** What Nest's `@Sse` costs by itself: a constant event of Sluice's form for every chunk. */
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
import { Observable } from 'rxjs';
import { tokenText } from '../scenario.js';
import { ask, countFrames, listening } from './relay.js';

const EVENT: MessageEvent = {
  id: 'run_0123456789abcdef0123456789abcdef:100',
  data: JSON.stringify({ content: tokenText(0) }),
};

@Controller()
class ChatController {
  @Sse('v1/chat/stream', { method: RequestMethod.POST })
  @HttpCode(200)
  stream(@Body() body: object): Observable<MessageEvent> {
    return new Observable((subscriber) => {
      const outgoing = ask(JSON.stringify(body), (incoming) => {
        incoming.on('data', (bytes: Buffer) => {
          for (let left = countFrames(bytes); left > 0; left--) subscriber.next(EVENT);
        });
        incoming.on('end', () => subscriber.complete());
        incoming.on('error', (error) => subscriber.error(error));
      });
      return () => outgoing.destroy();
    });
  }
}

@Module({ controllers: [ChatController] })
class AppModule {}

const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: false });
await app.init();
// Nest's own `listen` takes no backlog.
app.getHttpServer().listen(listening);
