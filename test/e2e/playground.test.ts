import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { startApp, type RunningApp } from '../support/app.js';
import { open } from '../support/http.js';
import { startInstance } from '../support/instances.js';

const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };

describe('the playground over HTTP', () => {
  let server: RunningApp;

  beforeAll(async () => {
    server = await startApp({ API_KEYS: 'me:secret' });
  });
  afterAll(() => server.close());

  async function get(path: string, headers: Record<string, string> = BROWSER) {
    const call = open({ port: server.port, path, headers });
    await call.ended;
    return { status: await call.status, headers: await call.headers, bytes: call.bytes() };
  }

  async function page(): Promise<string> {
    return (await get('/')).bytes.toString();
  }

  it('is a page for browsers and a line for all others, without a key', async () => {
    const { status, headers } = await get('/');
    expect({ status, type: headers['content-type'] }).toEqual({
      status: 200,
      type: 'text/html; charset=utf-8',
    });
    for (const accept of ['*/*', 'application/json, text/plain, */*']) {
      const { bytes, headers } = await get('/', { accept });
      expect(bytes.toString()).toBe('Ollama is running');
      expect(headers.vary).toContain('Accept');
    }
  });

  it('allows nothing but its own files, and markup through its sanitizer', async () => {
    const { headers, bytes } = await get('/');
    const [, importMap = ''] = /<script type="importmap">(.*?)<\/script>/s.exec(bytes.toString())!;
    const hash = createHash('sha256').update(importMap).digest('base64');
    expect(String(headers['content-security-policy']).split('; ')).toEqual([
      "default-src 'none'",
      `script-src 'self' 'sha256-${hash}'`,
      "style-src 'self'",
      "img-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      'trusted-types dompurify',
    ]);
    expect(headers['referrer-policy']).toBe('no-referrer');
  });

  it('finds every file it names, which may be kept for good', async () => {
    const paths = [...(await page()).matchAll(/"(?:\.\/)?(playground\/[^"]+\.\w+)"/g)].map(
      ([, path]) => path!,
    );
    expect(paths.length).toBeGreaterThan(10);
    for (const path of paths) {
      const { status, headers } = await get(`/${path}`);
      expect({ path, status }).toEqual({ path, status: 200 });
      expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
  });

  it('is asked for again each time, and sent only when it has changed', async () => {
    const { headers } = await get('/');
    expect(headers['cache-control']).toBe('no-cache');
    const { status, bytes } = await get('/', { ...BROWSER, 'if-none-match': headers.etag! });
    expect({ status, length: bytes.length }).toEqual({ status: 304, length: 0 });
  });

  it('serves the page of another version too, but not for good', async () => {
    const { status, headers } = await get('/playground/another/app.js');
    expect(status).toBe(200);
    expect(headers['cache-control']).toBe('no-cache');
  });

  it('is compressed for who can read that', async () => {
    const [, path = ''] = /src="(playground\/[^"]+\/app\.js)"/.exec(await page())!;
    const plain = await get(`/${path}`, {});
    const { headers, bytes } = await get(`/${path}`, { 'accept-encoding': 'gzip, br' });
    expect(headers['content-encoding']).toBe('gzip');
    expect(headers.vary).toContain('Accept-Encoding');
    expect(gunzipSync(bytes).equals(plain.bytes)).toBe(true);
  });

  it.each([
    '/playground/x/nothing.js',
    '/playground/x/../../package.json',
    '/playground/x/tsconfig.json',
  ])('has no file %s', async (path) => {
    expect((await get(path)).status).toBe(404);
  });

  it('is there once the server is built', async () => {
    const built = await startInstance({});
    const call = open({ port: built.port, headers: BROWSER });
    expect(await call.until('</html>')).toContain('<title>Sluice</title>');
    await built.kill();
  }, 60_000);

  it('can be left out', async () => {
    const without = await startApp({ PLAYGROUND: 'off' });
    try {
      const call = open({ port: without.port, path: '/', headers: BROWSER });
      await call.ended;
      expect(call.text()).toBe('Ollama is running');
      const asset = open({ port: without.port, path: '/playground/x/app.js' });
      expect(await asset.status).toBe(404);
    } finally {
      await without.close();
    }
  });
});
