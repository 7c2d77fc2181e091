/** What Nest and `res.write` cost by themselves: a constant frame of OpenAI's size for every chunk. */
import 'reflect-metadata';
import { Body, Controller, Module, Post, Res } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Response } from 'express';
import { tokenText } from '../scenario.js';
import { ask, countFrames, listening } from './relay.js';

/** As long as what the bench's upstream sends. */
const FRAME = `data: {"content":"${tokenText(0)}","padding":"${'x'.repeat(262)}"}\n\n`;

@Controller()
class ChatController {
  @Post('v1/chat/completions')
  stream(@Body() body: object, @Res() response: Response) {
    response.status(200).set('Content-Type', 'text/event-stream; charset=utf-8');
    response.flushHeaders();
    const outgoing = ask(JSON.stringify(body), (incoming) => {
      incoming.on('data', (bytes: Buffer) => {
        for (let left = countFrames(bytes); left > 0; left--) response.write(FRAME);
      });
      incoming.on('end', () => response.end());
    });
    response.on('close', () => outgoing.destroy());
  }
}

@Module({ controllers: [ChatController] })
class AppModule {}

const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: false });
await app.init();
// Nest's own `listen` takes no backlog.
app.getHttpServer().listen(listening);
