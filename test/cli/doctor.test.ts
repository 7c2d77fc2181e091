import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
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
import { buildCli, startCli } from '../support/cli.js';
import { diagnose, WaitingRoom, type Path } from '../support/diagnosis.js';
import { startHaproxy } from '../support/haproxy.js';
import { startNginx } from '../support/nginx.js';
import { describeWith } from '../support/programs.js';
import { createAuthority, createCertificate } from '../support/upstream/certificates.js';

let server: RunningApp;
let other: RunningApp;
let guarded: RunningApp;
const room = new WaitingRoom();

beforeAll(async () => {
  buildCli();
  server = await startApp({ DEMO: 'on' });
  other = await startApp({ DEMO: 'on' });
  guarded = await startApp({ DEMO: 'on', API_KEYS: 'alice:sk-alice' });
  room.open(3);
}, 120_000);
afterAll(async () => {
  for (const app of [server, other, guarded]) await app.close();
});

describe('without a proxy, sluice doctor', () => {
  const direct = room.admit(() => Promise.resolve({ url: server.url }));

  it('finds nothing wrong', async () => {
    const { code, complaints, findings } = await direct();
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
    expect(flowing_ms).toBeLessThan(1_000);
    expect(silent_ms).toBeLessThan(1_000);
  });
});

describeWith('nginx', 'through nginx, sluice doctor', () => {
  /** What nginx is told by who has read how to stream. */
  const STREAMING = 'proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection "";';
  const nginx = (location?: string) => () => startNginx(server.port, location);

  const streaming = room.admit(nginx(STREAMING));
  const asInstalled = room.admit(nginx());
  const buffering = room.admit(
    nginx('proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;'),
  );
  const twice = room.admit(async () => {
    const inner = await startNginx(server.port);
    const outer = await startNginx(inner.port);
    return { url: outer.url, close: () => Promise.all([outer.close(), inner.close()]) };
  });
  const impatient = room.admit(nginx(`${STREAMING} proxy_read_timeout 5s;`), '--max-silence', '8');
  const inattentive = room.admit(nginx(`${STREAMING} proxy_ignore_client_abort on;`));
  const old = room.admit(nginx('proxy_buffering off;'));
  const compressing = room.admit(
    nginx(`${STREAMING} gzip on; gzip_types text/event-stream; gzip_proxied any;`),
  );

  it('finds nothing wrong with buffering off', async () => {
    const { code, complaints } = await streaming();
    expect({ code, complaints }).toEqual({ code: 0, complaints: {} });
  });

  it('warns of buffering that only a header prevents', async () => {
    const { code, complaints, findings } = await asInstalled();
    expect({ code, complaints }).toEqual({
      code: 0,
      complaints: { buffering: 'warning', http: 'warning' },
    });
    expect(findings.buffering!.measured.by_default).toBe(true);
  });

  it('tells buffering, and how much is held for how long', async () => {
    const { code, complaints, findings } = await buffering();
    expect({ code, complaints }).toMatchObject({
      code: 1,
      complaints: { buffering: 'problem', heartbeats: 'problem' },
    });
    const { held_bytes, held_longest_ms } = findings.buffering!.measured;
    // The size of its buffers: a page.
    expect(held_bytes).toBeGreaterThan(3_000);
    expect(held_bytes).toBeLessThan(9_000);
    expect(held_longest_ms).toBeGreaterThan(400);
  });

  it('tells buffering by a second nginx, which does not see the header', async () => {
    const { code, complaints } = await twice();
    expect({ code, complaints }).toMatchObject({ code: 1, complaints: { buffering: 'problem' } });
  });

  it('tells after how much silence the path is cut', async () => {
    const { code, complaints, findings } = await impatient();
    expect({ code, complaints }).toEqual({ code: 1, complaints: { silence: 'problem' } });
    expect(Math.round(Number(findings.silence!.measured.cut_after_ms) / 1_000)).toBe(5);
  });

  it('warns of a disconnect that is passed on only with the next token', async () => {
    const { code, complaints, findings } = await inattentive();
    expect({ code, complaints }).toEqual({ code: 0, complaints: { disconnect: 'warning' } });
    expect(findings.disconnect!.measured.silent_ms).toBe('never');
  });

  it('warns of HTTP/1.0, which is its default', async () => {
    const { code, complaints, findings } = await old();
    expect({ code, complaints }).toEqual({ code: 0, complaints: { http: 'warning' } });
    expect(findings.http!.measured).toMatchObject({ client: '1.1', server: '1.0' });
  });

  it('warns of compression', async () => {
    const { code, complaints, findings } = await compressing();
    expect({ code, complaints }).toEqual({ code: 0, complaints: { compression: 'warning' } });
    expect(findings.compression!.measured).toMatchObject({ encoding: 'gzip', holds: false });
  });
});

describeWith('haproxy', 'through HAProxy, sluice doctor', () => {
  const streaming = room.admit(() => startHaproxy([server.port]));
  const corking = room.admit(() => startHaproxy([server.port], ['abortonclose']));
  const inattentive = room.admit(() => startHaproxy([server.port], ['http-no-delay']));
  const balancing = room.admit(() => startHaproxy([server.port, other.port]));

  it('finds nothing wrong', async () => {
    const { code, complaints } = await streaming();
    expect({ code, complaints }).toEqual({ code: 0, complaints: {} });
  });

  it('tells that it holds tokens for a fifth of a second, which is its default', async () => {
    const { code, complaints, findings } = await corking();
    expect({ code, complaints }).toMatchObject({ code: 1, complaints: { buffering: 'problem' } });
    expect(findings.buffering!.measured.held_longest_ms).toBeGreaterThan(150);
    expect(findings.buffering!.measured.held_longest_ms).toBeLessThan(1_000);
  });

  it('warns of a disconnect that it passes on only with the next token, which is its default', async () => {
    const { code, complaints } = await inattentive();
    expect({ code, complaints }).toEqual({ code: 0, complaints: { disconnect: 'warning' } });
  });

  it('finds the instance whose client left, among two', async () => {
    const { code, complaints } = await balancing();
    expect({ code, complaints }).toEqual({ code: 0, complaints: {} });
  });
});

describe('through a proxy, sluice doctor', () => {
  const deaf = room.admit(() => startDeafProxy(server.port));
  const zipping = room.admit(() => startZippingProxy(server.port));
  const hasty = room.admit(() => startHastyProxy(server.port, 3_500), '--max-silence', '5');
  const forgetful = room.admit(() => startForgetfulProxy(server.port, 2_000));
  const tls = room.admit(() => startTls('http/1.1'));
  const http2 = room.admit(() => startTls('h2', 'http/1.1'));

  it('tells that a disconnect is never passed on', async () => {
    const { code, complaints, findings } = await deaf();
    expect({ code, complaints }).toEqual({ code: 1, complaints: { disconnect: 'problem' } });
    expect(findings.disconnect!.measured).toEqual({ flowing_ms: 'never', silent_ms: 'never' });
  });

  it('tells compression that holds tokens back', async () => {
    const { code, complaints, findings } = await zipping();
    expect({ code, complaints }).toMatchObject({
      code: 1,
      complaints: { buffering: 'problem', compression: 'problem' },
    });
    expect(findings.buffering!.summary).toContain('until the answer is over');
  });

  it('tells that answers may take only so long', async () => {
    const { code, complaints, findings } = await hasty();
    expect({ code, complaints }).toEqual({ code: 1, complaints: { duration: 'problem' } });
    expect(Math.round(Number(findings.duration!.measured.cut_after_ms) / 500)).toBe(7);
  });

  it('tells that a silent connection is forgotten', async () => {
    const { code, complaints } = await forgetful();
    expect({ code, complaints }).toMatchObject({ code: 1, complaints: { silence: 'problem' } });
  });

  it('warns of TLS without HTTP/2', async () => {
    const { code, complaints } = await tls();
    expect({ code, complaints }).toEqual({ code: 0, complaints: { http: 'warning' } });
  });

  it('finds nothing wrong with TLS and HTTP/2', async () => {
    const { code, complaints } = await http2();
    expect({ code, complaints }).toEqual({ code: 0, complaints: {} });
  });
});

describe('what sluice doctor can not test', () => {
  it.each([
    ['where nobody listens', () => 'http://127.0.0.1:9', 'Nothing answers'],
    ['a server that is no Sluice', () => `${server.url}/elsewhere`, 'HTTP 404'],
    ['a server whose key is not known', () => guarded.url, 'SLUICE_API_KEY'],
  ])('ends with 2: %s', async (_name, url, message) => {
    const { code, healthy, error } = await diagnose({ url: url() });
    expect({ code, healthy }).toEqual({ code: 2, healthy: null });
    expect(error).toContain(message);
    expect(error).not.toContain('--url');
  });
});

it('tests a server with keys when it has one', async () => {
  const { code } = await diagnose({ url: guarded.url }, '--key', 'sk-alice');
  expect(code).toBe(0);
});

it('says what it found in plain words, with the line that mends it', async () => {
  const proxy = await startZippingProxy(server.port);
  const cli = startCli(['doctor', '--max-silence', '3', proxy.url]);
  expect([await cli.exited, cli.err]).toEqual([1, '']);
  expect(cli.out).toMatch(/^✗ buffering +Something holds tokens back/m);
  expect(cli.out).toMatch(/^ +nginx +proxy_buffering off;/m);
  expect(cli.out).toMatch(/^ +HAProxy /m);
  expect(cli.out).toMatch(/this path is not fit for streams\.\n$/);
  await proxy.close();
});

/** A path whose certificate the command line is told to trust. */
async function startTls(...protocols: string[]): Promise<Path> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-ca-'));
  const authority = await createAuthority();
  await writeFile(join(directory, 'ca.pem'), authority.cert);
  const certificate = await createCertificate(authority);
  const proxy = await startTlsProxy(server.port, certificate, protocols);
  return {
    url: proxy.url,
    env: { NODE_EXTRA_CA_CERTS: join(directory, 'ca.pem') },
    close: () => Promise.all([proxy.close(), rm(directory, { recursive: true })]),
  };
}
