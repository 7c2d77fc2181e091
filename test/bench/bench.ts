import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from './client.js';
import { forkHelper } from './gateway.js';
import {
  alone,
  burst,
  memory,
  Stage,
  stalled,
  steady,
  warmUp,
  type Figures,
  type Sizes,
} from './phases.js';
import { boxTimes, describeBox } from './proc.js';
import { checks, describeChecks } from './checks.js';
import { reasonsToRefuse } from './refusal.js';
import { ROWS, type Row } from './rows.js';
import { median, shuffled } from './stats.js';
import { table } from './table.js';
import type { Upstream } from './upstream.js';

const USAGE = `npm run bench -- [options]
  --rows a,b      only these rows: ${ROWS.map(({ name }) => name).join(', ')}
  --rounds N      how often everything is measured; medians are shown (5)
  --only PHASE    cpu (with transit and close times), burst, alone or memory
  --quick         one short round with fewer streams: for development, its figures say little
  --noisy         report even where the box was busy
  --out FILE      where all figures go as JSON (test/bench/results/latest.json)`;

/** So few streams that no gateway but the naive one is near its ceiling: there, times are those of a queue. */
const FULL: Sizes = {
  steady: { streams: 100, paceMs: 20, rampMs: 1000, windowMs: 3000 },
  burst: { streams: 100, overMs: 50, times: 3 },
  alone: { turns: 100 },
  memory: { few: 1000, many: 5000, settleMs: 2500 },
  stalled: { streams: 25, tokens: 1400, pad: 3000 },
};

const QUICK: Sizes = {
  steady: { streams: 50, paceMs: 20, rampMs: 500, windowMs: 2000 },
  burst: { streams: 100, overMs: 50, times: 1 },
  alone: { turns: 20 },
  memory: { few: 300, many: 1000, settleMs: 1500 },
  stalled: { streams: 10, tokens: 1400, pad: 3000 },
};

/** Tokens at the pace that is measured, after {@link warmUp}'s bursts. */
const WARM_UP: Sizes['steady'] = { streams: 100, paceMs: 20, rampMs: 500, windowMs: 1500 };

/** Memory varies little, and takes long: only what ratios are made of is measured more than once. */
const MAX_MEMORY_ROUNDS = 3;

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    noisy: { type: 'boolean', default: false },
    out: { type: 'string', default: 'test/bench/results/latest.json' },
    help: { type: 'boolean', default: false },
  },
});

const rows = options.rows?.split(',').map(rowOf) ?? ROWS;
const rounds = Number(options.rounds ?? (options.quick ? 1 : 5));
const sizes = options.quick ? QUICK : FULL;
const phases = options.only === undefined ? ['cpu', 'burst', 'alone', 'memory'] : [options.only];

if (options.help) console.log(USAGE);
else process.exitCode = await main();
process.exit();

async function main(): Promise<number> {
  const description = describeBox();
  const idle = await idleShare(2000);
  const measured = new Map<Row, Figures[]>(rows.map((row) => [row, []]));
  await measure((row, figures) => measured.get(row)!.push(figures));
  const medians = new Map([...measured].map(([row, all]) => [row.name, medianFigures(all)]));
  const everything = {
    date: new Date().toISOString(),
    box: description,
    idleBefore: idle,
    sizes,
    rounds,
    medians: Object.fromEntries(medians),
    measured: Object.fromEntries([...measured].map(([row, all]) => [row.name, all])),
  };
  await mkdir(dirname(options.out), { recursive: true });
  await writeFile(options.out, `${JSON.stringify(everything, null, 1)}\n`);

  const refusal = reasonsToRefuse(idle, measured);
  if (refusal.length > 0) {
    console.error(`These figures can't be relied on:\n${refusal.map((r) => `  ${r}`).join('\n')}`);
    if (!options.noisy) return 2;
  }
  console.log(`${description}; ${rounds} rounds, ${everything.date}\n`);
  console.log(table(medians));
  const results = checks(medians);
  if (results.length > 0) console.log(`\n${describeChecks(results)}`);
  return refusal.length > 0 ? 2 : results.every(({ passes }) => passes) ? 0 : 1;
}

async function measure(onFigures: (row: Row, figures: Figures) => void) {
  const upstream = forkHelper<Upstream>('upstream.js');
  const client = forkHelper<Client>('client.js');
  const upstreamPort = await upstream.call('listen');
  const start = async (row: Row) =>
    new Stage(row, await row.start?.(upstreamPort), client, upstream, upstreamPort);

  if (phases.some((phase) => phase !== 'memory')) {
    const stages = new Map<Row, Stage>();
    for (const row of rows) {
      say(`warming up: ${row.name}`);
      const stage = await start(row);
      stages.set(row, stage);
      await warmUp(stage, sizes.burst);
      await steady(stage, WARM_UP);
    }
    for (let round = 1; round <= rounds; round++) {
      for (const row of shuffled(rows)) {
        say(`round ${round}: ${row.name}`);
        const stage = stages.get(row)!;
        if (phases.includes('burst')) onFigures(row, await burst(stage, sizes.burst));
        if (phases.includes('cpu')) onFigures(row, await steady(stage, sizes.steady));
      }
      if (phases.includes('alone')) {
        say(`round ${round}: alone`);
        const all = await alone([...stages.values()], sizes.alone);
        for (const [row, figures] of all) onFigures(row, figures);
      }
    }
    for (const { gateway } of stages.values()) await gateway?.stop();
  }
  if (phases.includes('memory')) {
    for (let round = 1; round <= Math.min(rounds, MAX_MEMORY_ROUNDS); round++) {
      for (const row of shuffled(rows).filter((one) => one.start)) {
        say(`memory, round ${round}: ${row.name}`);
        const stage = await start(row);
        const counts = [sizes.memory.few, ...(round === 1 ? [sizes.memory.many] : [])];
        onFigures(row, await memory(stage, counts, sizes.memory.settleMs));
        await stage.gateway?.stop();
        if (round === 1) onFigures(row, await stalled(() => start(row), sizes.stalled));
      }
    }
  }
  say('');
}

function rowOf(name: string): Row {
  const row = ROWS.find((one) => one.name === name);
  if (!row) throw new Error(`There is no row ${name}.\n${USAGE}`);
  return row;
}

/** The median of each figure over the rounds that have it. */
function medianFigures(all: Figures[]): Figures {
  const names = new Set(all.flatMap((figures) => Object.keys(figures)));
  return Object.fromEntries(
    [...names].map((name) => [name, median(all.flatMap((figures) => figures[name] ?? []))]),
  );
}

/** Which part of all cores does nothing, over a time. */
async function idleShare(ms: number): Promise<number> {
  const before = boxTimes();
  await sleep(ms);
  const after = boxTimes();
  const idle = after.idleMs - before.idleMs;
  const rest = after.busyMs - before.busyMs + after.stealMs - before.stealMs;
  return idle / (idle + rest);
}

/** Shows what is going on, where somebody looks. */
function say(what: string) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}
