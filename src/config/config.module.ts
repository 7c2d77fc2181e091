import { Global, Module } from '@nestjs/common';
import { ConfigModule as NestConfigModule } from '@nestjs/config';
import config, { CONFIG, type Config } from './config.js';
import { ConfigFile } from './file/config-file.js';

/** Reads the environment and, but in tests, `.env` in the working directory; once, at boot. */
@Global()
@Module({
  imports: [
    NestConfigModule.forRoot({
      isGlobal: true,
      load: [config],
      ignoreEnvFile: process.env.NODE_ENV === 'test',
    }),
  ],
  providers: [
    {
      provide: ConfigFile,
      inject: [CONFIG],
      useFactory: (settled: Config) => new ConfigFile(settled, process.env),
    },
  ],
  exports: [ConfigFile],
})
export class ConfigModule {}
