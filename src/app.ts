import type { LogLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Authentication, whenAdmitted } from './access/authentication.js';
import { AppModule } from './app.module.js';
import { CONFIG, type Config } from './config/config.js';
import { allowOrigins } from './http/cors.js';
import { expectJson } from './http/expect-json.js';
import { expectWellFormed } from './http/expect-well-formed.js';
import { harden } from './http/harden.js';
import { HttpAdapter } from './http/http.adapter.js';
import { readJson } from './http/read-json.js';
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
  const app = await NestFactory.create<NestExpressApplication>(AppModule, new HttpAdapter(), {
    // What keeps it from starting is thrown, and said by the caller.
    logger: logLevels ?? new JsonLogger(),
    abortOnError: false,
    bodyParser: false,
  });
  const config = app.get<Config>(CONFIG);
  app.useLogger(logLevels ?? [config.LOG_LEVEL]);
  harden(app, config);
  const drain = app.get(DrainService);
  app.use(drain.track.bind(drain));
  app.use(requestId);
  const requests = app.get(RequestTelemetry);
  app.use(requests.observe.bind(requests));
  app.use(expectWellFormed);
  allowOrigins(app, config);
  const authentication = app.get(Authentication);
  app.use(authentication.decide.bind(authentication));
  app.use(whenAdmitted(expectJson));
  app.use(whenAdmitted(readJson(config.MAX_BODY_BYTES)));
  if (config.DOCS) setUpDocs(app);
  const server = app.getHttpServer();
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  // Who asks before sending a body is told to go on once it is to be read.
  server.on('checkContinue', (request, response) => server.emit('request', request, response));
  return app;
}
