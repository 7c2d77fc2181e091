import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, type RunningApp } from '../support/app.js';
import type { Protocol } from '../support/upstream/index.js';

export const UPSTREAMS: Protocol[] = ['openai', 'azure', 'ollama'];

/** The key of every provider: no client must see it. */
export const CANARY = 'canary-of-the-provider';

/**
 * Starts Sluice with a provider for every address and protocol, and models in three setups:
 * `alone/<protocol>-<address>/<model>` is asked once, `again/…` up to three times, and `backed/…`
 * once, with `spare/text` behind it. No breaker learns of what went wrong before.
 *
 * @param urls by the addresses' names; `upstream` is the scripted one
 */
export async function startSluice(
  urls: { upstream: string; [address: string]: string },
  env: Record<string, number>,
): Promise<RunningApp> {
  const providers = Object.entries(urls).flatMap(([name, url]) =>
    UPSTREAMS.map((type) => [`${type}-${name}`, serviceOf(type, url)] as const),
  );
  const models = providers.flatMap(([name]) => [
    [`alone/${name}/*`, { targets: [`${name}/*`], retry: { attempts: 1 } }] as const,
    [`again/${name}/*`, { targets: [`${name}/*`], retry: { attempts: 3 } }] as const,
    [`backed/${name}/*`, { targets: [`${name}/*`, 'spare/text'], retry: { attempts: 1 } }] as const,
  ]);
  const spare = ['spare', serviceOf('openai', urls.upstream)] as const;
  const content = {
    providers: Object.fromEntries([...providers, spare]) as object,
    models: Object.fromEntries(models) as object,
    breaker: 'off',
  };
  const file = join(await mkdtemp(join(tmpdir(), 'faults-')), 'sluice.yaml');
  // JSON is YAML.
  await writeFile(file, JSON.stringify(content));
  return startApp({ CONFIG_FILE: file, ...env });
}

function serviceOf(type: Protocol, url: string) {
  const models = ['text'];
  if (type === 'ollama') return { type, base_url: url, models };
  if (type === 'openai') return { type, base_url: `${url}/v1`, api_key: CANARY, models };
  return { type, base_url: url, api_key: CANARY, api_version: '2024-10-21', models };
}
