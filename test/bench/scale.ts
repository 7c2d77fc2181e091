/**
 * Many paced streams at once: whether every frame of every one arrives, and when. They start one
 * after another, rest after their first token until all are there, and then go on together.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Client } from './client.js';
import { forkHelper } from './gateway.js';
import { isIntact, Stage } from './phases.js';
import { boxTimes, cpuMs, describeBox } from './proc.js';
import { ROWS, SCALE_ROWS } from './rows.js';
import { percentile } from './stats.js';
import type { Upstream } from './upstream.js';

const DEFAULT_ROWS = ['json', 'openai', ...SCALE_ROWS.map(({ name }) => name)];

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: DEFAULT_ROWS.join(',') },
    streams: { type: 'string', default: '5000' },
    tokens: { type: 'string', default: '100' },
    pace: { type: 'string', default: '250' },
    /** Over how long they start, in milliseconds. What starts cost is `burst`'s to tell. */
    over: { type: 'string', default: '15000' },
  },
});
const count = Number(options.streams);
const tokens = Number(options.tokens);
const paceMs = Number(options.pace);

/** A gap between two tokens, or a wait for the first, that is longer is a stall. */
const MAX_GAP_MS = 10 * paceMs;

console.log(
  `${describeBox()}\n${count} streams at once of ${tokens} tokens, one each ${paceMs} ms\n\n` +
    '| row | intact | TTFT p50 / p99 / max ms | gap p50 / p99 / max ms | cores: gateway, upstream, client | idle | MB | |\n' +
    '|---|---:|---:|---:|---:|---:|---:|---|',
);
let passes = true;
for (const name of options.rows.split(',')) passes = (await scale(name)) && passes;
process.exit(passes ? 0 : 1);

async function scale(name: string): Promise<boolean> {
  const row = [...ROWS, ...SCALE_ROWS].find((one) => one.name === name);
  if (!row) throw new Error(`There is no row ${name}.`);
  const upstream = forkHelper<Upstream>('upstream.js');
  const client = forkHelper<Client>('client.js');
  const upstreamPort = await upstream.call('listen');
  const gateway = await row.start?.(upstreamPort);
  const stage = new Stage(row, gateway, client, upstream, upstreamPort);
  const look = () => ({
    time: performance.now(),
    cpu: [gateway?.cpuMs() ?? 0, cpuMs([upstream.pid]), cpuMs([client.pid])],
    idle: boxTimes().idleMs,
  });

  await stage.open(count, Number(options.over), { tokens, paceMs, rests: true });
  const mb = (gateway?.rssKb() ?? 0) / 1024;
  const before = look();
  const releasedAt = await upstream.call('goOn');
  await client.call('settled');
  const after = look();
  const report = await stage.report();
  await gateway?.stop();
  for (const helper of [upstream, client]) helper.child.kill();

  const ttft = report.map(({ client: { startedAt, arrivedAt } }) =>
    arrivedAt.length === 0 ? Infinity : arrivedAt[0]! - startedAt,
  );
  // The first gap begins where the rest ends, or would show how long the others took to start.
  const gaps = report.flatMap(({ client: { arrivedAt } }) =>
    arrivedAt.slice(1).map((at, index) => at - Math.max(arrivedAt[index]!, releasedAt)),
  );
  const intact = report.filter(isIntact).length;
  const spread = (values: number[]) =>
    [0.5, 0.99, 1].map((p) => percentile(values, p).toFixed(0)).join(' / ');
  const cores = after.cpu.map((cpu, who) =>
    ((cpu - before.cpu[who]!) / (after.time - before.time)).toFixed(2),
  );
  const idle = (after.idle - before.idle) / (after.time - before.time) / cpus().length;
  const flows = percentile(ttft, 1) <= MAX_GAP_MS && percentile(gaps, 1) <= MAX_GAP_MS;
  const good = intact === count && flows;
  console.log(
    `| ${name} | ${intact}/${count} | ${spread(ttft)} | ${spread(gaps)} | ${cores.join(', ')} | ` +
      `${(idle * 100).toFixed(0)} % | ${mb.toFixed(0)} | ${good ? '✓' : '✗'} |`,
  );
  for (const [fault, times] of faultsOf(report.map((stream) => stream.client.fault))) {
    console.log(`  ${times} × ${fault}`);
  }
  return good;
}

function faultsOf(faults: (string | undefined)[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const fault of faults) {
    if (fault !== undefined) found.set(fault, (found.get(fault) ?? 0) + 1);
  }
  return found;
}
