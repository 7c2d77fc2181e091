import { Module } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config.js';
import { loadPlayground } from './page.js';
import { PLAYGROUND, PlaygroundController } from './playground.controller.js';

@Module({
  controllers: [PlaygroundController],
  providers: [
    {
      provide: PLAYGROUND,
      inject: [CONFIG],
      useFactory: (config: Config) => (config.PLAYGROUND ? loadPlayground() : undefined),
    },
  ],
})
export class PlaygroundModule {}
