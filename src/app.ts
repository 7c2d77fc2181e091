import type { LogLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { AppModule } from './app.module.js';
import { CONFIG, type Config } from './config/config.js';
import { expectJson } from './http/expect-json.js';
import { requestId } from './http/request-id.js';
import { RequestTelemetry } from './http/request.telemetry.js';
import { setUpDocs } from './openapi.js';
import { DrainService } from './runs/drain.service.js';
import { JsonLogger } from './telemetry/json-logger.js';

/** Above the 60 s of common load balancers, so that it is never Sluice that closes first. */
const KEEP_ALIVE_MS = 75_000;

/**
 * The whole application, ready to listen.
 * @param logLevels what to log, as lines for people; without it, lines of JSON as configured
 * @throws {ConfigError} when the environment can't be worked with
 */
export async function createApp(logLevels?: LogLevel[]): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule, {
    // What keeps it from starting is thrown, and said by the caller.
    logger: logLevels ?? new JsonLogger(),
    abortOnError: false,
    bodyParser: false,
    forceCloseConnections: true,
  });
  const config = app.get<Config>(CONFIG);
  app.useLogger(logLevels ?? [config.LOG_LEVEL]);
  app.disable('x-powered-by');
  app.set('etag', false);
  const drain = app.get(DrainService);
  app.use(drain.track.bind(drain));
  app.use(requestId);
  const requests = app.get(RequestTelemetry);
  app.use(requests.observe.bind(requests));
  app.use(expectJson);
  app.useBodyParser('json', {
    limit: config.MAX_BODY_BYTES,
    // What is left is JSON, whatever it is declared as. An empty body is none, and not an object.
    type: ({ headers }) => headers['content-length'] !== '0',
  });
  if (config.DOCS) setUpDocs(app);
  const server = app.getHttpServer();
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  return app;
}
