import 'reflect-metadata';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { AddressInfo } from 'node:net';
import { createApp } from '../../src/app.js';

export interface RunningApp {
  app: NestExpressApplication;
  port: number;
  url: string;
  close(): Promise<void>;
}

/** What an application gets of the environment of its tests. */
const KEPT = ['PATH', 'TMPDIR', 'NODE_ENV'];

/**
 * The whole application on a port of its own, configured by `env` alone. The environment is read
 * while it boots, so applications of one test are started one after the other.
 */
export async function startApp(env: Record<string, string | number> = {}): Promise<RunningApp> {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) {
    if (!KEPT.includes(name)) Reflect.deleteProperty(process.env, name);
  }
  for (const [name, value] of Object.entries(env)) process.env[name] = String(value);
  try {
    const app = await createApp(['error']);
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    return { app, port, url: `http://127.0.0.1:${port}`, close: () => app.close() };
  } finally {
    process.env = before;
  }
}
