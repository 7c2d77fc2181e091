import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { text as textScenario } from './answers.scenarios.js';
import { Exchange, type Scenario } from './exchange.js';
import { parseModelName, type Options } from './model-name.js';
import { UpstreamRequest, type ChatBody } from './request.js';
import { scenarios } from './scenarios.js';

export interface UpstreamOptions {
  tls?: { key: string | Buffer; cert: string | Buffer };
  /** Unset for any that is free. */
  port?: number;
}

/** The scripted upstream; `index.ts` says what it can play. */
export class Upstream {
  /** Every request since the start or the last `reset`, in order of arrival. */
  requests: UpstreamRequest[] = [];

  readonly #scheme: 'http' | 'https';
  readonly #server;
  /** By the client's port: under TLS a request's socket is not the TCP socket. */
  readonly #sockets = new Map<number | undefined, Socket>();
  /** Connections that had a request. */
  readonly #used = new WeakSet<Socket>();
  readonly #exchanges = new Set<Exchange>();
  readonly #scripts = new Map<string, Scenario>();
  readonly #arrivals = new EventEmitter().setMaxListeners(0);
  readonly #taken = new WeakSet<UpstreamRequest>();
  #failure: unknown;

  constructor({ tls }: UpstreamOptions) {
    const listener = (req: IncomingMessage, res: ServerResponse) => void this.#receive(req, res);
    this.#scheme = tls ? 'https' : 'http';
    this.#server = tls ? createTlsServer(tls, listener) : createServer(listener);
    // Idle connections stay, so that a client's pool never meets one that is just closing.
    this.#server.keepAliveTimeout = 0;
    this.#server.on('connection', (socket: Socket) => {
      const port = socket.remotePort;
      this.#sockets.set(port, socket);
      socket.once('close', () => this.#sockets.delete(port));
    });
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** TCP connections, idle ones included. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Connections with an exchange that is not over. */
  get openSockets(): number {
    return this.#exchanges.size;
  }

  /** How many requests the client broke off. */
  get closedEarly(): number {
    return this.requests.filter((request) => request.closedEarly).length;
  }

  async listen(port = 0): Promise<this> {
    await once(this.#server.listen(port, '127.0.0.1'), 'listening');
    return this;
  }

  /** The first request that matches and was not handed out before, waiting for it if need be. */
  async next(
    matches: (request: UpstreamRequest) => boolean = () => true,
    timeoutMs = 5000,
  ): Promise<UpstreamRequest> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const request = this.requests.find((seen) => !this.#taken.has(seen) && matches(seen));
      if (request) {
        this.#taken.add(request);
        return request;
      }
      await once(this.#arrivals, 'request', { signal }).catch(() => {
        const seen = this.requests.map(({ path, model }) => `${path} (${model})`).join(', ');
        throw new Error(`no such request within ${timeoutMs} ms; seen: ${seen || 'none'}`);
      });
    }
  }

  /** Plays `scenario` for a model of this very name, or of this name with options. */
  script(model: string, scenario: Scenario): void {
    this.#scripts.set(model, scenario);
  }

  /** Forgets requests and scripts and cuts what is still being answered; idle connections stay. */
  reset(): void {
    for (const exchange of this.#exchanges) exchange.rst();
    this.requests = [];
    this.#scripts.clear();
  }

  /** Cuts every connection. Throws what a scenario threw, if one did. */
  async close(): Promise<void> {
    this.reset();
    for (const socket of this.#sockets.values()) socket.destroy();
    if (this.#server.listening) await once(this.#server.close(), 'close');
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  async #receive(req: IncomingMessage, res: ServerResponse): Promise<void> {
    // A client may leave at any time; that is seen on the response's 'close'.
    res.on('error', () => {});
    const body = await readText(req).catch(() => undefined);
    if (body === undefined) return;

    const request = new UpstreamRequest(req, parseJson(body), this.#used.has(req.socket));
    this.#used.add(req.socket);
    this.requests.push(request);
    const scenario = this.#scenarioOf(request);
    const tcp = this.#sockets.get(req.socket.remotePort) ?? req.socket;
    const exchange = new Exchange(request, scenario?.options ?? {}, req, res, tcp);
    this.#exchanges.add(exchange);
    res.once('close', () => this.#exchanges.delete(exchange));
    this.#arrivals.emit('request');

    try {
      if (exchange.options.wait !== undefined) await exchange.sleep(exchange.options.wait);
      await (scenario?.play ?? refuseModel)(exchange);
    } catch (error) {
      if (exchange.gone.aborted) return;
      this.#failure ??= error;
      exchange.rst();
    }
  }

  #scenarioOf(request: UpstreamRequest): { play: Scenario; options: Options } | undefined {
    const { model, protocol } = request;
    if (protocol === 'unknown') return undefined;
    const exact = this.#scripts.get(model);
    if (exact) return { play: exact, options: {} };

    const parsed = parseModelName(model);
    if (!parsed) return undefined;
    const { scenario, options } = parsed;
    const play = this.#scripts.get(scenario) ?? scenarios.get(scenario);
    const played = this.requests.filter((seen) => seen.model === model).length;
    const spent = options.times !== undefined && played > options.times;
    return play && { play: spent ? textScenario : play, options };
  }
}

const refuseModel: Scenario = (exchange) => {
  const { protocol, model, path } = exchange.request;
  const message =
    protocol === 'unknown'
      ? `Unknown request URL: ${path}`
      : `The model \`${model}\` does not exist`;
  exchange.error(404, { message, type: 'invalid_request_error', code: 'model_not_found' });
};

function parseJson(body: string): ChatBody {
  try {
    return JSON.parse(body) as ChatBody;
  } catch {
    return {};
  }
}
