import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, type RunningApp } from '../support/app.js';
import {
  startDeafProxy,
  startForgetfulProxy,
  startHastyProxy,
  startTlsProxy,
  startZippingProxy,
} from '../support/bad-proxies.js';
import { buildCli, startCli, type Cli } from '../support/cli.js';
import { startHaproxy } from '../support/haproxy.js';
import { startNginx } from '../support/nginx.js';
import { describeWith } from '../support/programs.js';
import { createAuthority, createCertificate } from '../support/upstream/certificates.js';

interface Diagnosis {
  code: number | null;
  healthy: boolean | null;
  error?: string;
  /** What is not well, by id. */
  complaints: Record<string, string>;
  findings: Record<string, { verdict: string; summary: string; measured: Record<string, unknown> }>;
}

let server: RunningApp;
let closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  buildCli();
  server = await startApp({ DEMO: 'on' });
}, 120_000);
afterEach(async () => {
  await Promise.all(closing.map((close) => close()));
  closing = [];
});
afterAll(() => server.close());

function diagnose(url: string, ...args: string[]): Promise<Diagnosis> {
  return diagnosisOf(startCli(['doctor', '--json', '--max-silence', '3', ...args, url]));
}

async function diagnosisOf(cli: Cli): Promise<Diagnosis> {
  const code = await cli.exited;
  if (cli.out === '') throw new Error(cli.err);
  const {
    healthy,
    error,
    findings = [],
  } = JSON.parse(cli.out) as {
    healthy: boolean | null;
    error?: string;
    findings?: { id: string; verdict: string; summary: string; measured: object }[];
  };
  const ill = findings.filter(({ verdict }) => verdict !== 'ok');
  return {
    code,
    healthy,
    error,
    complaints: Object.fromEntries(ill.map(({ id, verdict }) => [id, verdict])),
    findings: Object.fromEntries(
      findings.map(({ id, ...finding }) => [id, finding]),
    ) as Diagnosis['findings'],
  };
}

async function through<T extends { url: string; close(): Promise<unknown> }>(starting: Promise<T>) {
  const proxy = await starting;
  closing.push(() => proxy.close());
  return proxy.url;
}

it('finds nothing wrong with a server without a proxy', async () => {
  const { code, complaints, findings } = await diagnose(server.url);
  expect({ code, complaints }).toEqual({ code: 0, complaints: {} });
  expect(Object.keys(findings).sort()).toEqual([
    'buffering',
    'compression',
    'disconnect',
    'duration',
    'gaps',
    'heartbeats',
    'http',
    'keep-alive',
    'silence',
    'ttft',
  ]);
  const { flowing_ms, silent_ms } = findings.disconnect!.measured;
  expect(Number(flowing_ms)).toBeLessThan(1_000);
  expect(Number(silent_ms)).toBeLessThan(1_000);
});

const HTTP_1_1 = 'proxy_http_version 1.1; proxy_set_header Connection "";';
/** What nginx is told by who has read how to stream. */
const STREAMING = `${HTTP_1_1} proxy_buffering off;`;

describeWith('nginx', 'through nginx, sluice doctor', () => {
  it('finds nothing wrong with buffering off', async () => {
    const url = await through(startNginx(server.port, STREAMING));
    const { code, complaints } = await diagnose(url);
    expect({ code, complaints }).toEqual({ code: 0, complaints: {} });
  });

  it('warns of buffering that only a header prevents', async () => {
    const url = await through(startNginx(server.port));
    const { code, complaints, findings } = await diagnose(url);
    expect({ code, complaints }).toEqual({
      code: 0,
      complaints: { buffering: 'warning', http: 'warning' },
    });
    expect(findings.buffering!.measured.by_default).toBe(true);
  });

  it('tells buffering, and how much is held for how long', async () => {
    const url = await through(
      startNginx(server.port, 'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;'),
    );
    const { code, complaints, findings } = await diagnose(url);
    expect({ code, complaints }).toMatchObject({
      code: 1,
      complaints: { buffering: 'problem', heartbeats: 'problem' },
    });
    const { held_bytes, held_longest_ms } = findings.buffering!.measured;
    // The size of its buffers: a page.
    expect(Number(held_bytes)).toBeGreaterThan(3_000);
    expect(Number(held_bytes)).toBeLessThan(9_000);
    expect(Number(held_longest_ms)).toBeGreaterThan(400);
  });

  it('tells buffering by a second nginx, which does not see the header', async () => {
    const inner = startNginx(server.port);
    await through(inner);
    const url = await through(startNginx((await inner).port));
    const { code, complaints } = await diagnose(url);
    expect({ code, complaints }).toMatchObject({ code: 1, complaints: { buffering: 'problem' } });
  });

  it('tells after how much silence the path is cut', async () => {
    const url = await through(startNginx(server.port, `${STREAMING} proxy_read_timeout 5s;`));
    const { code, complaints, findings } = await diagnose(url, '--max-silence', '8');
    expect({ code, complaints }).toEqual({ code: 1, complaints: { silence: 'problem' } });
    expect(Math.round(Number(findings.silence!.measured.cut_after_ms) / 1_000)).toBe(5);
  });

  it('warns of a disconnect that is passed on only with the next token', async () => {
    const url = await through(
      startNginx(server.port, `${STREAMING} proxy_ignore_client_abort on;`),
    );
    const { code, complaints, findings } = await diagnose(url);
    expect({ code, complaints }).toEqual({ code: 0, complaints: { disconnect: 'warning' } });
    expect(findings.disconnect!.measured.silent_ms).toBe('never');
  });

  it('warns of HTTP/1.0, which is its default', async () => {
    const url = await through(startNginx(server.port, 'proxy_buffering off;'));
    const { code, complaints, findings } = await diagnose(url);
    expect({ code, complaints }).toEqual({ code: 0, complaints: { http: 'warning' } });
    expect(findings.http!.measured).toMatchObject({ client: '1.1', server: '1.0' });
  });

  it('warns of compression', async () => {
    const url = await through(
      startNginx(
        server.port,
        `${STREAMING} gzip on; gzip_types text/event-stream; gzip_proxied any;`,
      ),
    );
    const { code, complaints, findings } = await diagnose(url);
    expect({ code, complaints }).toEqual({ code: 0, complaints: { compression: 'warning' } });
    expect(findings.compression!.measured).toMatchObject({ encoding: 'gzip', holds: false });
  });
});

describeWith('haproxy', 'through HAProxy, sluice doctor', () => {
  it('finds nothing wrong', async () => {
    const url = await through(startHaproxy([server.port]));
    const { code, complaints } = await diagnose(url);
    expect({ code, complaints }).toEqual({ code: 0, complaints: {} });
  });

  it('tells that it holds tokens for a fifth of a second, which is its default', async () => {
    const url = await through(startHaproxy([server.port], ['abortonclose']));
    const { code, complaints, findings } = await diagnose(url);
    expect({ code, complaints }).toMatchObject({ code: 1, complaints: { buffering: 'problem' } });
    expect(findings.buffering!.measured.held_longest_ms).toBeGreaterThan(150);
    expect(findings.buffering!.measured.held_longest_ms).toBeLessThan(1_000);
  });

  it('warns of a disconnect that it passes on only with the next token, which is its default', async () => {
    const url = await through(startHaproxy([server.port], ['http-no-delay']));
    const { code, complaints } = await diagnose(url);
    expect({ code, complaints }).toEqual({ code: 0, complaints: { disconnect: 'warning' } });
  });

  it('finds the instance whose client left, among two', async () => {
    const other = await startApp({ DEMO: 'on' });
    closing.push(() => other.close());
    const url = await through(startHaproxy([server.port, other.port]));
    const { code, complaints } = await diagnose(url);
    expect({ code, complaints }).toEqual({ code: 0, complaints: {} });
  });
});

describe('through a proxy, sluice doctor', () => {
  it('tells that a disconnect is never passed on', async () => {
    const url = await through(startDeafProxy(server.port));
    const { code, complaints, findings } = await diagnose(url);
    expect({ code, complaints }).toEqual({ code: 1, complaints: { disconnect: 'problem' } });
    expect(findings.disconnect!.measured).toEqual({ flowing_ms: 'never', silent_ms: 'never' });
  });

  it('tells compression that holds tokens back', async () => {
    const url = await through(startZippingProxy(server.port));
    const { code, complaints, findings } = await diagnose(url);
    expect({ code, complaints }).toMatchObject({
      code: 1,
      complaints: { buffering: 'problem', compression: 'problem' },
    });
    expect(findings.buffering!.summary).toContain('until the answer is over');
  });

  it('tells that answers may take only so long', async () => {
    const url = await through(startHastyProxy(server.port, 3_500));
    const { code, complaints, findings } = await diagnose(url, '--max-silence', '5');
    expect({ code, complaints }).toEqual({ code: 1, complaints: { duration: 'problem' } });
    expect(Math.round(Number(findings.duration!.measured.cut_after_ms) / 500)).toBe(7);
  });

  it.each([
    ['warns of TLS without HTTP/2', ['http/1.1'], { http: 'warning' }],
    ['finds nothing wrong with TLS and HTTP/2', ['h2', 'http/1.1'], {}],
  ])('%s', async (_name, protocols, expected) => {
    const directory = await mkdtemp(join(tmpdir(), 'sluice-ca-'));
    closing.push(() => rm(directory, { recursive: true }));
    const authority = await createAuthority();
    await writeFile(join(directory, 'ca.pem'), authority.cert);
    const certificate = await createCertificate(authority);
    const url = await through(startTlsProxy(server.port, certificate, protocols));
    const cli = startCli(['doctor', '--json', '--max-silence', '3', url], {
      env: { NODE_EXTRA_CA_CERTS: join(directory, 'ca.pem') },
    });
    expect(await diagnosisOf(cli)).toMatchObject({ code: 0, complaints: expected });
  });

  it('tells that a silent connection is forgotten', async () => {
    const url = await through(startForgetfulProxy(server.port, 2_000));
    const { code, complaints } = await diagnose(url);
    expect({ code, complaints }).toMatchObject({ code: 1, complaints: { silence: 'problem' } });
  });
});

describe('what sluice doctor can not test', () => {
  it.each([
    ['where nobody listens', () => 'http://127.0.0.1:9', 'Nothing answers'],
    ['a server that is no Sluice', () => `${server.url}/elsewhere`, 'HTTP 404'],
  ])('ends with 2: %s', async (_name, url, message) => {
    const { code, healthy, error } = await diagnose(url());
    expect({ code, healthy }).toEqual({ code: 2, healthy: null });
    expect(error).toContain(message);
  });

  it('ends with 2: a server whose key is not known', async () => {
    const guarded = await startApp({ DEMO: 'on', API_KEYS: 'alice:sk-alice' });
    closing.push(() => guarded.close());
    const { code, error } = await diagnose(guarded.url);
    expect(code).toBe(2);
    expect(error).toContain('SLUICE_API_KEY');
    expect((await diagnose(guarded.url, '--key', 'sk-alice')).code).toBe(0);
  });
});

it('says what it found in plain words, with the line that mends it', async () => {
  const url = await through(startZippingProxy(server.port));
  const cli = startCli(['doctor', '--quick', url]);
  expect([await cli.exited, cli.err]).toEqual([1, '']);
  expect(cli.out).toMatch(/^✗ buffering +Something holds tokens back/m);
  expect(cli.out).toMatch(/^ +nginx +proxy_buffering off;/m);
  expect(cli.out).toMatch(/^ +HAProxy /m);
  expect(cli.out).toMatch(/this path is not fit for streams\.\n$/);
});
