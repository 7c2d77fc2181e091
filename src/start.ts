import 'reflect-metadata';
import { Logger, ShutdownSignal } from '@nestjs/common';
import { setFlagsFromString } from 'node:v8';
import { createApp } from './app.js';
import { CONFIG, ConfigError, type Config } from './config/config.js';

/**
 * Connections that may wait to be accepted, as far as the system allows. Beyond Node's own 511 the
 * clients of a burst try again, or are reset.
 */
const BACKLOG = 4_096;

/**
 * All of the heap is collected when it has tripled. V8 lets it grow by up to four times under load, but by
 * less than a third once the process was idle: then it collects every few seconds, in pauses of tens of
 * milliseconds.
 */
setFlagsFromString('--heap-growing-percent=200');

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
  // Nest hands all that it gets to the server's own method, but has no type for the third.
  await app.listen(PORT, HOST, BACKLOG as never);
  new Logger('Sluice').log(`Listening on ${await app.getUrl()}`);
}

await main().catch((error: unknown) => {
  console.error(plainly(error));
  // What has begun, such as looking for Redis, would go on.
  process.exit(1);
});

/** What its operator can mend is told by its message, such as that of a port in use. */
function plainly(error: unknown): unknown {
  const { message, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof ConfigError || syscall === 'listen') return message;
  if (syscall === 'getaddrinfo') {
    return `HOST: expected an address of this machine, or a name of one (${message})`;
  }
  return error;
}
