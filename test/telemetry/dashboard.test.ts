import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { startApp, type RunningApp } from '../support/app.js';
import { Scrape } from '../support/metrics.js';
import { describeRedis, startRedis, type RedisServer } from '../support/redis.js';
import { ask } from '../support/runs.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

interface Dashboard {
  templating: { list: { query?: string | { query: string } }[] };
  panels: {
    id: number;
    title: string;
    type: string;
    gridPos: { x: number; y: number; w: number; h: number };
    targets?: { expr: string; legendFormat: string }[];
  }[];
}

/** A name that is followed by a selector, a range or a comma, and is no function. */
const METRIC = /\b(?:sluice|gen_ai_client|http_client|http_server|nodejs|process)_\w+(?=[{[,])/g;

/** The labels in a selector, in `by (…)` and in a legend. */
const LABELS = /(\w+)(?==~?"|!=")|by \(([^)]*)\)|\{\{(\w+)\}\}/g;

/** What Prometheus itself adds. */
const ADDED = ['instance', 'le'];

let dashboard: Dashboard;

beforeAll(async () => {
  dashboard = JSON.parse(await readFile('deploy/grafana/sluice.json', 'utf8')) as Dashboard;
});

function queries(): string[] {
  return [
    ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...dashboard.templating.list.flatMap(({ query }) =>
      typeof query === 'object' ? [query.query] : [],
    ),
  ];
}

describeRedis('the dashboard', () => {
  let upstream: Upstream;
  let redis: RedisServer;
  let server: RunningApp;
  let scrape: Scrape;

  beforeAll(async () => {
    upstream = await startUpstream();
    redis = await startRedis();
    server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, REDIS_URL: redis.url });
    await ask(server.port, 'text').ended;
    await ask(server.port, 'status-401').ended;
    const cancelled = ask(server.port, 'slow');
    await cancelled.until('data:');
    cancelled.destroy();
    scrape = await Scrape.of(server.port);
  });
  afterAll(async () => {
    await server.close();
    await redis.close();
    await upstream.close();
  });

  it('asks only for metrics that there are', () => {
    const there = new Set(scrape.samples.map(({ name }) => name));
    // What has labels is there from its first value on.
    for (const name of scrape.types.keys()) there.add(name).add(`${name}_bucket`);
    const asked = queries().flatMap((query) => query.match(METRIC) ?? []);
    expect(asked.length).toBeGreaterThan(25);
    expect([...new Set(asked)].filter((name) => !there.has(name))).toEqual([]);
  });

  it('has company: the README tells of every metric', async () => {
    const readme = await readFile('README.md', 'utf8');
    const section = /### Watch it\n(.*?)\n### /s.exec(readme)![1]!;
    const told = section.match(/`(?:sluice|gen_ai|http)_\w+`/g)!.map((name) => name.slice(1, -1));
    const own = [...scrape.types.keys()].filter((name) => !/^(nodejs|process)_/.test(name));
    expect(told.filter((name) => name !== 'gen_ai_token_type').sort()).toEqual(own.sort());
  });

  it('asks for something in every query', () => {
    for (const query of queries()) expect(query).toMatch(METRIC);
  });

  it('names only labels that there are', () => {
    const there = new Set(scrape.samples.flatMap(({ labels }) => Object.keys(labels)));
    const legends = dashboard.panels.flatMap(({ targets = [] }) =>
      targets.map(({ legendFormat }) => legendFormat),
    );
    const asked = [...queries(), ...legends].flatMap((text) =>
      [...text.matchAll(LABELS)].flatMap(([, one, several, legend]) =>
        (one ?? legend ?? several ?? '').split(/, */),
      ),
    );
    expect(asked.length).toBeGreaterThan(30);
    const unknown = asked.filter((label) => !there.has(label) && !ADDED.includes(label));
    expect(unknown).toEqual([]);
  });
});

describe('the panels of the dashboard', () => {
  it('have names and places of their own', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
    for (const { gridPos: one, id } of panels) {
      expect(one.x + one.w).toBeLessThanOrEqual(24);
      for (const { gridPos: other } of panels.filter((panel) => panel.id !== id)) {
        const isApart =
          one.x + one.w <= other.x ||
          other.x + other.w <= one.x ||
          one.y + one.h <= other.y ||
          other.y + other.h <= one.y;
        expect(isApart).toBe(true);
      }
    }
  });
});
