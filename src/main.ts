import 'reflect-metadata';
import { Logger, ShutdownSignal } from '@nestjs/common';
import { createApp } from './app.js';
import { CONFIG, ConfigError, type Config } from './config/config.js';

/** One stream's fault is not the others' end. */
process.on('unhandledRejection', (reason) => new Logger('Process').error(reason));

async function main() {
  const app = await createApp();
  const { HOST, PORT, CONFIG_FILE } = app.get<Config>(CONFIG);
  // With a file to read again, SIGHUP asks for that.
  const signals = Object.values(ShutdownSignal).filter(
    (signal) => signal !== ShutdownSignal.SIGHUP || CONFIG_FILE === undefined,
  );
  app.enableShutdownHooks(signals, { useProcessExit: true });
  await app.listen(PORT, HOST);
  new Logger('Sluice').log(`Listening on ${await app.getUrl()}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : error);
  process.exitCode = 1;
});
