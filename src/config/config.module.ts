import { Global, Module } from '@nestjs/common';
import { ConfigModule as NestConfigModule } from '@nestjs/config';
import config from './config.js';

/** Reads the environment and `.env` in the working directory, once, at boot. */
@Global()
@Module({
  imports: [NestConfigModule.forRoot({ isGlobal: true, load: [config] })],
})
export class ConfigModule {}
