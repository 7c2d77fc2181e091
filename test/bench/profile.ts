/** Where a gateway's time goes under a steady load: its top functions, and a file for the DevTools. */
import { mkdir, writeFile } from 'node:fs/promises';
import type { Profiler } from 'node:inspector';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from './client.js';
import { forkHelper } from './gateway.js';
import { ENDLESS, Stage } from './phases.js';
import { ROWS } from './rows.js';
import type { Upstream } from './upstream.js';

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: 'json,openai' },
    seconds: { type: 'string', default: '5' },
    top: { type: 'string', default: '30' },
    out: { type: 'string', default: 'test/bench/results' },
  },
});

const STREAMS = 200;
const PACE_MS = 20;
const WARM_UP_MS = 4_000;

const upstream = forkHelper<Upstream>('upstream.js');
const client = forkHelper<Client>('client.js');
const upstreamPort = await upstream.call('listen');
await mkdir(options.out, { recursive: true });

for (const name of options.rows.split(',')) {
  const row = ROWS.find((one) => one.name === name);
  const gateway = await row?.start?.(upstreamPort);
  if (!row || !gateway?.probe) throw new Error(`There is nothing to profile in ${name}.`);
  const stage = new Stage(row, gateway, client, upstream, upstreamPort);
  await stage.open(STREAMS, 1000, { tokens: ENDLESS, paceMs: PACE_MS });
  await sleep(WARM_UP_MS);
  await stage.report();
  await gateway.probe.call('startProfile');
  await sleep(Number(options.seconds) * 1000);
  const profile = await gateway.probe.call('stopProfile');
  await gateway.stop();
  await writeFile(`${options.out}/${name}.cpuprofile`, JSON.stringify(profile));
  print(name, profile);
}
process.exit();

function print(name: string, { nodes, samples, timeDeltas }: Profiler.Profile) {
  const functions = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const selfUs = new Map<string, number>();
  samples!.forEach((id, at) => {
    const what = functions.get(id)!;
    selfUs.set(what, (selfUs.get(what) ?? 0) + timeDeltas![at]!);
  });
  const idle = selfUs.get('(idle)') ?? 0;
  selfUs.delete('(idle)');
  const busy = [...selfUs.values()].reduce((sum, us) => sum + us, 0);
  console.log(`\n## ${name}: busy ${((busy / (busy + idle)) * 100).toFixed(0)} %\n`);
  console.log('| self % | function |\n|---:|---|');
  const top = [...selfUs].sort(([, a], [, b]) => b - a).slice(0, Number(options.top));
  for (const [what, us] of top) console.log(`| ${((us / busy) * 100).toFixed(1)} | ${what} |`);
}

function nameOf({ functionName, url, lineNumber }: Profiler.ProfileNode['callFrame']): string {
  const file = url.replace(/^.*\/(node_modules|dist)\//, '');
  const where = url === '' ? '' : ` ${file}:${lineNumber + 1}`;
  return `${functionName === '' ? '(anonymous)' : functionName}${where}`;
}
