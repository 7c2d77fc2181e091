import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ClientStream, Load } from './client.js';
import { now } from './clock.js';
import type { Gateway } from './gateway.js';
import { boxLoads, cpuMs, lookAtBox } from './proc.js';
import type { Remote } from './rpc.js';
import type { Row } from './rows.js';
import { percentile, shuffled } from './stats.js';
import type { Upstream, UpstreamStream } from './upstream.js';

/** What one phase measured of one row, under the columns' names. */
export type Figures = Record<string, number>;

/** More tokens than any phase waits for. */
export const ENDLESS = 999_999;

/** How long upstream may take to see the last client leave. */
const CLOSE_TIMEOUT_MS = 5_000;

/** V8 compiles what is hot, in tiers: by then a burst costs half of what the first ones do. */
const WARM_UP_BURSTS = 30;

/** What each stream of a burst is sent. */
const BURST_SCENARIO = { tokens: 20, paceMs: 20 };

export interface Sizes {
  steady: { streams: number; paceMs: number; rampMs: number; windowMs: number };
  burst: { streams: number; overMs: number; times: number };
  alone: { turns: number };
  memory: { few: number; many: number; settleMs: number };
  stalled: { streams: number; tokens: number; pad: number };
}

interface Stream {
  client: ClientStream;
  upstream: UpstreamStream;
}

/** A row that is up, with those who load it. */
export class Stage {
  private static nextStream = 1;

  constructor(
    readonly row: Row,
    readonly gateway: Gateway | undefined,
    readonly client: Remote<Client>,
    readonly upstream: Remote<Upstream>,
    readonly upstreamPort: number,
  ) {}

  open(
    count: number,
    overMs: number,
    scenario: Load['scenario'],
    options: Pick<Load, 'stalled'> = {},
  ): Promise<void> {
    const first = Stage.nextStream;
    Stage.nextStream += count;
    const { path, key, checked, ending } = this.row;
    const port = this.gateway?.port ?? this.upstreamPort;
    const load = { port, path, key, checked, ending, first, count, overMs, scenario, ...options };
    return this.client.call('open', load);
  }

  /** Opens streams and waits for their ends. */
  async complete(count: number, overMs: number, scenario: Load['scenario']): Promise<Stream[]> {
    await this.open(count, overMs, scenario);
    await this.client.call('settled');
    return this.report();
  }

  /** Leaves all that is open. Resolves when upstream knows. */
  async leave(overMs: number): Promise<void> {
    await this.client.call('leave', { overMs });
    const deadline = now() + CLOSE_TIMEOUT_MS;
    while ((await this.upstream.call('open')) > 0 && now() < deadline) await sleep(20);
  }

  /** Every stream since the last report. */
  async report(): Promise<Stream[]> {
    const [clients, upstreams] = await Promise.all([
      this.client.call('report'),
      this.upstream.call('report'),
    ]);
    return [...clients].map(([stream, client]) => ({
      client,
      upstream: upstreams.get(stream) ?? { sentAt: [] },
    }));
  }
}

/** Bursts for a gateway that has just started, before its times are measured. */
export async function warmUp(
  stage: Stage,
  { streams, overMs }: Pick<Sizes['burst'], 'streams' | 'overMs'>,
): Promise<void> {
  if (!stage.gateway) return;
  for (let done = 0; done < WARM_UP_BURSTS; done++) {
    await stage.complete(streams, overMs, BURST_SCENARIO);
  }
}

/**
 * Paced streams that go on: what a token costs and how long it is under way; then all clients
 * leave.
 */
export async function steady(
  stage: Stage,
  { streams, paceMs, rampMs, windowMs }: Sizes['steady'],
): Promise<Figures> {
  const { gateway, client, upstream } = stage;
  await stage.open(streams, rampMs, { tokens: ENDLESS, paceMs });
  await sleep(500);
  const look = () => ({
    ...lookAtBox(),
    gateway: gateway?.cpuMs() ?? NaN,
    client: cpuMs([client.pid]),
    upstream: cpuMs([upstream.pid]),
    own: cpuMs([process.pid]),
  });
  const before = look();
  await sleep(windowMs);
  const after = look();
  await stage.leave(700);
  const report = await stage.report();

  const elapsedMs = after.at - before.at;
  const transit: number[] = [];
  const gaps: number[] = [];
  let sent = 0;
  for (const { client: seen, upstream: said } of report) {
    said.sentAt.forEach((sentAt, token) => {
      if (sentAt < before.at || sentAt >= after.at) return;
      sent += 1;
      const arrivedAt = seen.arrivedAt[token];
      if (arrivedAt === undefined) return;
      transit.push(arrivedAt - sentAt);
      if (token > 0) gaps.push(arrivedAt - seen.arrivedAt[token - 1]!);
    });
  }
  const closes = report.flatMap(({ client: seen, upstream: said }) =>
    seen.leftAt !== undefined && said.leftAt !== undefined ? [said.leftAt - seen.leftAt] : [],
  );
  const ttft = report.map(ttftOf);
  const used = (who: 'gateway' | 'client' | 'upstream' | 'own' | 'benchMs') =>
    Math.max(0, after[who] - before[who]);
  const known = used('client') + used('upstream') + used('own') + (gateway ? used('gateway') : 0);
  return {
    cpuUs: (used('gateway') / sent) * 1000,
    // Of Redis, and the other rows' gateways, which idle.
    besideUs: ((used('benchMs') - known) / sent) * 1000,
    gatewayLoad: used('gateway') / elapsedMs,
    clientLoad: used('client') / elapsedMs,
    upstreamLoad: used('upstream') / elapsedMs,
    ...boxLoads(before, after),
    tokens: sent,
    transitP50: percentile(transit, 0.5),
    transitP99: percentile(transit, 0.99),
    itlP99: percentile(gaps, 0.99),
    ttftP50: percentile(ttft, 0.5),
    ttftP99: percentile(ttft, 0.99),
    closeP50: percentile(closes, 0.5),
    closeP99: percentile(closes, 0.99),
    closed: closes.length / report.length,
    intact: intactShare(report),
  };
}

/** Many streams at once: the time to each one's first token. The first burst warms up. */
export async function burst(
  stage: Stage,
  { streams, overMs, times }: Sizes['burst'],
): Promise<Figures> {
  const ttft: number[] = [];
  let intact = 1;
  for (let time = 0; time <= times; time++) {
    const report = await stage.complete(streams, overMs, BURST_SCENARIO);
    intact = Math.min(intact, intactShare(report));
    if (time > 0) ttft.push(...report.map(ttftOf));
  }
  return { burstP50: percentile(ttft, 0.5), burstP99: percentile(ttft, 0.99), burstIntact: intact };
}

/**
 * One stream at a time, through all rows by turns: what else the box does happens to all of them
 * alike, so that they can be told apart by less than its noise.
 */
export async function alone(
  stages: readonly Stage[],
  { turns }: Sizes['alone'],
): Promise<Map<Row, Figures>> {
  const ttft = new Map<Stage, number[]>(stages.map((stage) => [stage, []]));
  const before = lookAtBox();
  for (let turn = 0; turn < turns; turn++) {
    for (const stage of shuffled(stages)) {
      // It ends a little after its first token, which that end is not to delay.
      const report = await stage.complete(1, 0, { tokens: 1, paceMs: 5 });
      ttft.get(stage)!.push(...report.map(ttftOf));
    }
  }
  const { foreignLoad, stealLoad } = boxLoads(before, lookAtBox());
  return new Map(
    [...ttft].map(([{ row }, times]) => [
      row,
      {
        aloneP50: percentile(times, 0.5),
        aloneForeignLoad: foreignLoad,
        aloneStealLoad: stealLoad,
      },
    ]),
  );
}

/**
 * What an open stream holds, for a gateway that has just started.
 * @param counts of few streams and, perhaps, of many
 */
export async function memory(stage: Stage, counts: number[], settleMs: number): Promise<Figures> {
  const { gateway } = stage;
  if (!gateway) return {};
  await useOnce(stage);
  const idleKb = await gateway.settledRssKb();
  const figures: Figures = { idleMb: idleKb / 1024 };
  let open = 0;
  for (const [index, count] of counts.entries()) {
    await stage.open(count - open, count - open, { tokens: ENDLESS, paceMs: 1000 });
    open = count;
    await sleep(settleMs);
    const kb = ((await gateway.settledRssKb()) - idleKb) / count;
    figures[index === 0 ? 'kbFew' : 'kbMany'] = kb;
  }
  await stage.leave(500);
  const sustained = intactShare(await stage.report());
  return counts.length > 1 ? { ...figures, sustained } : figures;
}

/** Readers that stop reading, against as many that read the same: what they cost beside the text. */
export async function stalled(
  start: () => Promise<Stage>,
  { streams, tokens, pad }: Sizes['stalled'],
): Promise<Figures> {
  const grownKb: number[] = [];
  for (const isStalled of [false, true]) {
    const stage = await start();
    const { gateway } = stage;
    if (!gateway) return {};
    await useOnce(stage);
    const idleKb = await gateway.settledRssKb();
    const scenario = { tokens, pad, paceMs: 0, hold: true };
    await stage.open(streams, 500, scenario, { stalled: isStalled });
    await sleep(1500);
    grownKb.push((await gateway.settledRssKb()) - idleKb);
    await stage.leave(100);
    await stage.report();
    await gateway.stop();
  }
  const [reading, stalling] = grownKb as [number, number];
  return {
    stalledKb: (stalling - reading) / streams,
    stalledWithTextKb: stalling / streams,
  };
}

/**
 * Loads what is loaded on first use, for memory's sake. No more than that: what {@link warmUp}'s
 * requests leave behind would be filled by the streams that are measured, and flatter those
 * gateways that retain answers.
 */
async function useOnce(stage: Stage) {
  await stage.complete(100, 200, { tokens: 20, paceMs: 20 });
}

function ttftOf({ client }: Stream): number {
  return (client.arrivedAt[0] ?? Infinity) - client.startedAt;
}

export function intactShare(report: readonly Stream[]): number {
  return report.filter(isIntact).length / report.length;
}

/** Whether nothing was lost, doubled or cut until the client left. */
export function isIntact({ client }: Stream): boolean {
  return client.fault === undefined && client.arrivedAt.length > 0;
}
