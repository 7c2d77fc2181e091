import { ExpressAdapter } from '@nestjs/platform-express';
import express, { type Express, type Request, type Response } from 'express';
import { createServer, IncomingMessage, ServerResponse } from 'node:http';

/**
 * Express on a server whose requests and responses are Express's from their construction on.
 *
 * Express gives those that Node made another prototype. V8 then has each of them in a hidden class of
 * its own: nothing that reads them, Node itself included, is optimized for their shape, and each takes
 * a kilobyte more. A prototype that is there already changes nothing.
 *
 * https://github.com/expressjs/express/blob/master/lib/application.js (`app.handle`)
 */
export class HttpAdapter extends ExpressAdapter {
  constructor() {
    const app = express();
    // What is said of a route by its path holds for whatever comes to it.
    app.enable('case sensitive routing');
    super(app);
  }

  override initHttpServer() {
    const app = this.getInstance<Express>();
    class AppRequest extends IncomingMessage {}
    class AppResponse<R extends IncomingMessage> extends ServerResponse<R> {}
    app.request = Object.setPrototypeOf(AppRequest.prototype, app.request) as Request;
    app.response = Object.setPrototypeOf(AppResponse.prototype, app.response) as Response;
    this.httpServer = createServer(
      { IncomingMessage: AppRequest, ServerResponse: AppResponse },
      app,
    );
  }

  /** Drained before, it waits for nobody. */
  override close() {
    const closed = super.close();
    this.httpServer.closeAllConnections();
    return closed;
  }
}
