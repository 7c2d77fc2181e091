import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { createApp } from './app.js';
import { CONFIG, ConfigError, type Config } from './config/config.js';

async function main() {
  const app = await createApp();
  app.enableShutdownHooks(undefined, { useProcessExit: true });
  const { HOST, PORT } = app.get<Config>(CONFIG);
  await app.listen(PORT, HOST);
  new Logger('Sluice').log(`Listening on ${await app.getUrl()}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : error);
  process.exitCode = 1;
});
