import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CONFIG, type Config } from '../config/config.js';
import { Metrics } from './metrics.js';

/** Serves `/metrics` without a key on a port of its own, which need not be open to callers. */
@Injectable()
export class MetricsServer implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly server = createServer((request, response) => {
    void this.answer(request, response);
  });

  constructor(
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  async onApplicationBootstrap() {
    const { METRICS_PORT, HOST } = this.config;
    if (METRICS_PORT === undefined) return;
    await once(this.server.listen(METRICS_PORT, HOST), 'listening');
    const { port } = this.server.address() as AddressInfo;
    new Logger('Metrics').log(`Metrics on port ${port}`);
  }

  /** Last of all, so that a drain is seen. */
  onApplicationShutdown() {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async answer({ method, url }: IncomingMessage, response: ServerResponse) {
    const isAsked = (method === 'GET' || method === 'HEAD') && url?.split('?')[0] === '/metrics';
    if (!isAsked) {
      response.writeHead(404).end();
      return;
    }
    const text = await this.metrics.text();
    response.writeHead(200, { 'Content-Type': this.metrics.contentType }).end(text);
  }
}
