import { hasNginx, startNginx } from './gateways/nginx.js';
import { hasRedis } from './gateways/redis.js';
import { forkGateway, Gateway, freePort, redisUrl } from './gateway.js';

/** One line of the table: something to stream through, and how its answers look. */
export interface Row {
  name: string;
  /** What clients post to. */
  path: string;
  /** What clients call with, where a key is asked for. */
  key?: string;
  /** Whether upstream's text comes through, so that the order of frames can be checked. */
  checked: boolean;
  /** What the last bytes of a whole answer contain. */
  ending?: string;
  /** Starts it; without, clients talk to the upstream itself. */
  start?: (upstreamPort: number) => Promise<Gateway>;
}

const NATIVE = { path: '/v1/chat/stream', checked: true, ending: 'event: done' };
const OPENAI = { path: '/v1/chat/completions', checked: true, ending: '[DONE]' };
const FLOOR = { checked: false, ending: undefined };

/** As `npm start` has them. */
const NODE_FLAGS = ['--no-memory-reducer'];

/** As in `limits.yaml`. */
const KEY = 'bench-0123456789abcdef';

/** To add a row, add it here; a program for it goes to `gateways/`. */
export const ROWS: Row[] = [
  { name: 'direct', ...OPENAI },
  ...(hasNginx ? [{ name: 'nginx', ...OPENAI, start: nginx }] : []),
  { name: 'pipe', ...OPENAI, start: program('gateways/pipe.js') },
  { name: 'write-floor', ...OPENAI, ...FLOOR, start: program('gateways/write-floor.js') },
  { name: 'sse-floor', ...NATIVE, ...FLOOR, start: program('gateways/sse-floor.js') },
  { name: 'naive', ...NATIVE, ending: undefined, start: program('gateways/naive.js') },
  { name: 'openai', ...OPENAI, start: startSluice },
  { name: 'json', ...NATIVE, start: startSluice },
  { name: 'openai+limits', ...OPENAI, key: KEY, start: sluiceWithLimits },
  { name: 'json+limits', ...NATIVE, key: KEY, start: sluiceWithLimits },
  ...(hasRedis
    ? [
        { name: 'openai+redis', ...OPENAI, start: sluiceWithRedis },
        { name: 'json+redis', ...NATIVE, start: sluiceWithRedis },
      ]
    : []),
];

/** For `scale` alone: what more than one process carries is no figure of one stream or token. */
export const SCALE_ROWS: Row[] =
  hasNginx && hasRedis
    ? [
        { name: 'openai x 2', ...OPENAI, start: twoSluices },
        { name: 'json x 2', ...NATIVE, start: twoSluices },
      ]
    : [];

/** Sluice as it starts for everybody, with all its default features. */
export async function startSluice(
  upstreamPort: number,
  env: Record<string, string> = {},
): Promise<Gateway> {
  const port = await freePort();
  const settings = {
    PORT: String(port),
    OPENAI_BASE_URL: `http://127.0.0.1:${upstreamPort}/v1`,
    OPENAI_API_KEY: 'bench',
    ...env,
  };
  return forkGateway(new URL('../../main.js', import.meta.url), port, settings, NODE_FLAGS);
}

async function sluiceWithRedis(upstreamPort: number): Promise<Gateway> {
  return startSluice(upstreamPort, { REDIS_URL: await redisUrl() });
}

/** Two processes behind nginx, which share a Redis. */
async function twoSluices(upstreamPort: number): Promise<Gateway> {
  const behind = [await sluiceWithRedis(upstreamPort), await sluiceWithRedis(upstreamPort)];
  const port = await freePort();
  const ports = behind.map((gateway) => gateway.port);
  return Gateway.listening(startNginx(port, ports), port, { behind });
}

/** With a key that has limits; usage and metrics are always on. */
function sluiceWithLimits(upstreamPort: number): Promise<Gateway> {
  return startSluice(upstreamPort, { CONFIG_FILE: 'test/bench/limits.yaml' });
}

function program(path: string) {
  return async (upstreamPort: number): Promise<Gateway> => {
    const port = await freePort();
    return forkGateway(new URL(path, import.meta.url), port, {
      PORT: String(port),
      UPSTREAM_URL: `http://127.0.0.1:${upstreamPort}/v1`,
    });
  };
}

async function nginx(upstreamPort: number): Promise<Gateway> {
  const port = await freePort();
  return Gateway.listening(startNginx(port, [upstreamPort]), port);
}
