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

/** The variables that the machine of the tests may have set itself. */
const AMBIENT =
  /^(OPENAI|AZURE|OLLAMA|SLUICE|REDIS|OTEL|METRICS)_|^(API_KEYS|AUTH|HOST|PORT|DEFAULT_MODEL|CONFIG_FILE)$/;

/**
 * The whole application on a port of its own, configured by `env` alone. The environment is read
 * while it boots, so applications of one test are started one after the other.
 */
export async function startApp(env: Record<string, string | number> = {}): Promise<RunningApp> {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) {
    if (AMBIENT.test(name)) Reflect.deleteProperty(process.env, name);
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
