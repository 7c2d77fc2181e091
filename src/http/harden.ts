import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NextFunction, Request, Response } from 'express';
import helmet from 'helmet';
import type { Socket } from 'node:net';
import type { Config } from '../config/config.js';
import { MAX_HEADERS } from './expect-well-formed.js';

/** How long a client may take for a request's headers, and for all of it, in milliseconds. */
const HEADERS_MS = 20_000;
const REQUEST_MS = 120_000;
const CHECK_MS = 5_000;

/** Nothing that the API answers is a page, to be shown, framed or run. */
const NO_PAGE = {
  useDefaults: false,
  directives: { 'default-src': "'none'", 'frame-ancestors': "'none'" },
};

/** The API's description is one, with styles of its own. */
const DOCS_PAGE = {
  useDefaults: false,
  directives: {
    'default-src': "'self'",
    'style-src': ["'self'", "'unsafe-inline'"],
    'img-src': ["'self'", 'data:'],
    'frame-ancestors': "'none'",
  },
};

/**
 * What a server on a hostile network does before it looks at a request: headers that keep browsers
 * from more than they are meant to do, and an end for clients that send their requests drop by drop.
 */
export function harden(app: NestExpressApplication, config: Config) {
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('trust proxy', config.TRUST_PROXY);
  app.use(
    helmet({
      contentSecurityPolicy: NO_PAGE,
      // For whoever ends TLS to say, and for all of the host.
      strictTransportSecurity: false,
      // These are for browsers and plugins that are gone, or say what is so without them.
      originAgentCluster: false,
      xDnsPrefetchControl: false,
      xDownloadOptions: false,
      xPermittedCrossDomainPolicies: false,
      xXssProtection: false,
    }),
  );
  // What says nothing else of itself is for its caller alone.
  app.use((_request: Request, response: Response, next: NextFunction) => {
    response.setHeader('Cache-Control', 'no-store');
    next();
  });
  if (config.DOCS) app.use('/docs', helmet.contentSecurityPolicy(DOCS_PAGE));
  const server = app.getHttpServer();
  // Each request that waits its turn on a connection listens to that, which is no leak to warn of.
  server.on('connection', (socket: Socket) => socket.setMaxListeners(0));
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = REQUEST_MS;
  server.maxHeadersCount = MAX_HEADERS;
  // Node reads it when the server begins to listen.
  Object.assign(server, { connectionsCheckingInterval: CHECK_MS });
}
