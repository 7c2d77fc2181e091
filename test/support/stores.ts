import { describe } from '@jest/globals';
import { startApp, type RunningApp } from './app.js';
import { describeRedis, startRedis } from './redis.js';

/** One or more instances of the application that share their runs. */
export interface Cluster {
  /** The first instance, where tests start their runs. */
  here: RunningApp;
  /** Another one that shows the same runs; `here` again where there is but one. */
  there: RunningApp;
  instances: RunningApp[];
  close(): Promise<void>;
}

export interface Store {
  name: string;
  start(env?: Record<string, string | number>): Promise<Cluster>;
}

const memory: Store = {
  name: 'memory',
  async start(env) {
    const app = await startApp(env);
    return { here: app, there: app, instances: [app], close: () => app.close() };
  },
};

const redis: Store = {
  name: 'redis',
  async start(env) {
    const server = await startRedis();
    const shared = { REDIS_URL: server.url, ...env };
    const here = await startApp(shared);
    const there = await startApp(shared);
    return {
      here,
      there,
      instances: [here, there],
      async close() {
        await here.close();
        await there.close();
        await server.close();
      },
    };
  },
};

/**
 * Describes what holds on every store: in one process with its memory, and in two with one Redis.
 * Without a redis-server the second is skipped, but not in CI, where it fails.
 */
export function describeStores(title: string, tests: (store: Store) => void): void {
  describe(`${title} (${memory.name})`, () => tests(memory));
  describeRedis(`${title} (${redis.name})`, () => tests(redis));
}
