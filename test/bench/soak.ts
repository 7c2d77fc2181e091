/** Minutes of everything that clients and upstreams do, after which nothing may be left of it. */
import { request, type ClientRequest } from 'node:http';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@redis/client';
import { forkHelper, redisUrl, type Gateway } from './gateway.js';
import { boxLoads, describeBox, lookAtBox } from './proc.js';
import { hasRedis } from './gateways/redis.js';
import { MAX_FOREIGN_LOAD, percent } from './refusal.js';
import { startSluice } from './rows.js';
import { FAULTS, requestBody, type Scenario } from './scenario.js';
import { median, shuffled } from './stats.js';
import type { Upstream } from './upstream.js';

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    /** How many clients there are at any time. */
    clients: { type: 'string', default: '100' },
    memory: { type: 'boolean', default: false },
  },
});
const minutes = Number(options.minutes);
const clients = Number(options.clients);
const usesRedis = !options.memory && hasRedis;

/** Short, so that what is retained is level after a minute and gone soon after the end. */
const RETENTION_SECONDS = 20;
const WRITE_TIMEOUT_MS = 2_000;
const SILENCE_TIMEOUT_MS = 3_000;

/** Short, so that what the gateway has pooled is gone at the end, and a socket that is left is a leak. */
const UPSTREAM_KEEP_ALIVE_MS = 5_000;

/** From the end of the load until everything has to be gone. */
const AFTERMATH_MS = RETENTION_SECONDS * 1000 + 15_000;

/** The RSS that later minutes are held against; earlier where the soak is shorter. */
const SETTLED_MINUTE = Math.min(3, Math.max(1, minutes - 1));
const MAX_GROWTH = 1.05;

const PATHS = ['/v1/chat/stream', '/v1/chat/completions'] as const;

/** RSS is looked at so often in a minute: it comes and goes with the long answers that are under way. */
const LOOKS_A_MINUTE = 6;

/** Sockets, timers and objects that the process holds of itself may come and go by this many. */
const TOLERANCE = 3;

interface Minute {
  /** The median of its looks. */
  rssKb: number;
  /** Cores that others used. Where they leave none idle, memory says nothing. */
  foreignLoad: number;
}

type Act = (port: number) => Promise<void>;

let nextStream = 1;
const counts: Record<string, number> = {};

const ACTS: Record<string, Act> = {
  complete: (port) => stream(port, { tokens: 50, paceMs: 10 }),
  long: (port) => stream(port, { tokens: 400, paceMs: 20 }),
  leave: (port) => stream(port, { tokens: 500, paceMs: 10 }, { leaveAfterMs: any(2000) }),
  reset: (port) =>
    stream(port, { tokens: 500, paceMs: 10 }, { leaveAfterMs: any(2000), how: 'RST' }),
  'leave before the first token': (port) =>
    stream(port, { tokens: 1, paceMs: 10, fault: 'silent' }, { leaveAfterMs: any(300) }),
  stall: (port) =>
    stream(port, { tokens: 1000, paceMs: 0, pad: 3000 }, { stallMs: any(2 * WRITE_TIMEOUT_MS) }),
  resume,
  fault: (port) =>
    stream(port, { tokens: 20, paceMs: 10, fault: FAULTS[Math.floor(any(FAULTS.length))]! }),
};

process.exit((await main()) ? 0 : 1);

async function main(): Promise<boolean> {
  console.log(`${describeBox()}\n${minutes} minutes, ${clients} clients, Redis: ${usesRedis}`);
  const upstream = forkHelper<Upstream>('upstream.js');
  const upstreamPort = await upstream.call('listen', { keepAliveMs: UPSTREAM_KEEP_ALIVE_MS });
  const url = usesRedis ? await redisUrl() : undefined;
  const gateway = await startSluice(upstreamPort, {
    RUN_RETENTION_SECONDS: String(RETENTION_SECONDS),
    WRITE_TIMEOUT_MS: String(WRITE_TIMEOUT_MS),
    FIRST_TOKEN_TIMEOUT_MS: String(SILENCE_TIMEOUT_MS),
    IDLE_TIMEOUT_MS: String(SILENCE_TIMEOUT_MS),
    // A few faults in a row would open it: refused at once, the clients ask a thousand times a second.
    BREAKER_FAILURES: '0',
    ...(url !== undefined && { REDIS_URL: url }),
  });
  const redis = url === undefined ? undefined : createClient({ url });
  await redis?.connect();
  const look = async () => ({
    ...(await gateway.probe!.call('held')),
    'upstream streams': await upstream.call('open'),
    'live runs': await liveRuns(gateway.port),
    'Redis keys': (await redis?.dbSize()) ?? 0,
  });

  try {
    // Warm: pools, caches and code that is loaded on first use are no leaks.
    await load(gateway.port, 5_000);
    await sleep(AFTERMATH_MS);
    const baseline: Record<string, number> = await look();
    const soaked = await soak(gateway, upstream);
    await sleep(AFTERMATH_MS);
    const rest: Record<string, number> = await look();

    console.log(`\nacts: ${JSON.stringify(counts)}\n`);
    console.log('| | before | after | |\n|---|---:|---:|---|');
    let passes = true;
    for (const name of new Set([...Object.keys(baseline), ...Object.keys(rest)])) {
      const before = baseline[name] ?? 0;
      const after = rest[name] ?? 0;
      const isExact = !name.startsWith('heap') && !/Wrap|Timeout|Immediate/.test(name);
      const good = after <= before + (isExact ? 0 : TOLERANCE);
      passes &&= good;
      console.log(`| ${name} | ${before} | ${after} | ${good ? '✓' : '✗'} |`);
    }
    const [settled, last] = [soaked[SETTLED_MINUTE - 1]!, soaked.at(-1)!];
    const growth = last.rssKb / settled.rssKb;
    const isLevel = growth <= MAX_GROWTH;
    const wasQuiet = Math.max(settled.foreignLoad, last.foreignLoad) <= MAX_FOREIGN_LOAD;
    const verdict = isLevel ? '✓' : '✗';
    console.log(
      `| RSS MB, minute ${SETTLED_MINUTE} and last | ${mb(settled.rssKb)} | ${mb(last.rssKb)} | ` +
        `${wasQuiet ? verdict : 'others used the box:'} ${growth.toFixed(3)} |`,
    );
    return passes && isLevel && wasQuiet;
  } finally {
    redis?.destroy();
    await gateway.stop();
  }
}

async function soak(
  gateway: Gateway,
  upstream: { call: (method: 'report') => Promise<unknown> },
): Promise<Minute[]> {
  const soaked: Minute[] = [];
  let due = performance.now();
  const loading = load(gateway.port, minutes * 60_000);
  let before = lookAtBox();
  for (let minute = 1; minute <= Math.max(1, minutes); minute++) {
    const looks: number[] = [];
    while (looks.length < LOOKS_A_MINUTE) {
      due += (Math.min(1, minutes) * 60_000) / LOOKS_A_MINUTE;
      await sleep(due - performance.now());
      looks.push(await gateway.settledRssKb());
    }
    const after = lookAtBox();
    const rssKb = median(looks);
    const { foreignLoad } = boxLoads(before, after);
    before = after;
    soaked.push({ rssKb, foreignLoad });
    // What the upstream notes is of no use here.
    await upstream.call('report');
    console.log(
      `minute ${minute}: RSS ${mb(rssKb)} MB (${looks.map(mb).join(', ')}), ` +
        `others used ${percent(foreignLoad)} of a core`,
    );
  }
  await loading;
  return soaked;
}

/** Keeps all clients busy for a time, each with everything in turn, in orders of its own. */
async function load(port: number, ms: number): Promise<void> {
  const until = performance.now() + ms;
  const client = async () => {
    await sleep(any(1000));
    for (;;) {
      for (const [name, act] of shuffled(Object.entries(ACTS))) {
        if (performance.now() >= until) return;
        counts[name] = (counts[name] ?? 0) + 1;
        await act(port);
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
}

interface Behaviour {
  leaveAfterMs?: number;
  how?: 'FIN' | 'RST';
  /** Reads nothing for so long, then all. */
  stallMs?: number;
  headers?: Record<string, string>;
  path?: string;
}

/** One stream, until it is over for both sides. */
function stream(
  port: number,
  scenario: Omit<Scenario, 'stream'>,
  { leaveAfterMs, how, stallMs, headers, path }: Behaviour = {},
): Promise<void> {
  const body = requestBody({ ...scenario, stream: nextStream++ });
  return new Promise((resolve) => {
    const outgoing = request({
      host: '127.0.0.1',
      port,
      path: path ?? PATHS[Math.floor(any(PATHS.length))]!,
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json', ...headers },
    });
    outgoing.on('response', (response) => {
      response.on('error', () => undefined);
      if (stallMs === undefined) response.resume();
      else setTimeout(() => response.resume(), stallMs);
    });
    end(outgoing, resolve, leaveAfterMs, how);
    outgoing.end(body);
  });
}

/** Starts a run that outlives its client, and comes back for the rest. */
async function resume(port: number): Promise<void> {
  const body = requestBody({ stream: nextStream++, tokens: 200, paceMs: 10 });
  const lastEventId = await new Promise<string | undefined>((resolve) => {
    let text = '';
    const outgoing = request({
      host: '127.0.0.1',
      port,
      path: '/v1/chat/stream',
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json', 'sluice-on-disconnect': 'grace=5' },
    });
    outgoing.on('response', (response) => {
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (text += piece));
      response.on('error', () => undefined);
    });
    end(outgoing, () => resolve([...text.matchAll(/^id: (.*)$/gm)].at(-1)?.[1]), any(1500), 'RST');
    outgoing.end(body);
  });
  if (lastEventId === undefined) return;
  const id = lastEventId.split(':')[0]!;
  await new Promise<void>((resolve) => {
    const outgoing = request({
      host: '127.0.0.1',
      port,
      path: `/v1/runs/${id}/events`,
      agent: false,
      headers: { 'last-event-id': lastEventId },
    });
    outgoing.on('response', (response) => {
      response.on('error', () => undefined);
      response.resume();
    });
    end(outgoing, resolve, any(2) < 1 ? any(500) : undefined);
    outgoing.end();
  });
}

function end(outgoing: ClientRequest, onEnd: () => void, afterMs?: number, how?: 'FIN' | 'RST') {
  const timer =
    afterMs === undefined
      ? undefined
      : setTimeout(() => {
          if (how === 'RST') outgoing.socket?.resetAndDestroy();
          outgoing.destroy();
        }, afterMs);
  outgoing.on('error', () => undefined);
  outgoing.on('close', () => {
    clearTimeout(timer);
    onEnd();
  });
}

async function liveRuns(port: number): Promise<number> {
  let live = 0;
  for (const status of ['queued', 'running']) {
    const response = await fetch(`http://127.0.0.1:${port}/v1/runs?status=${status}`);
    live += ((await response.json()) as { data: unknown[] }).data.length;
  }
  return live;
}

/** A random number from 0 up to a limit. */
function any(limit: number): number {
  return Math.random() * limit;
}

function mb(kb: number): string {
  return (kb / 1024).toFixed(1);
}
