import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { startApp, type RunningApp } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { describeWith } from '../support/programs.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { startUpstream, textOf, type Upstream } from '../support/upstream/index.js';

interface Seen {
  text: string;
  end: string;
  ids: string[];
  connections: number;
}

describeWith('chromium', "a browser's own EventSource", () => {
  let browser: Browser;
  let upstream: Upstream;
  let server: RunningApp;
  let proxy: Proxy;
  let page: Page;

  beforeAll(async () => {
    upstream = await startUpstream();
    server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1` });
    browser = await startBrowser();
  }, 60_000);
  beforeEach(async () => {
    proxy = await startProxy(server.port);
    page = await browser.newPage();
    // Any page of the server's own origin will do, where its policy lets it connect.
    await page.goto(`${proxy.url}/docs`);
    // What follows is to have connections of its own.
    proxy.cut();
  });
  afterEach(async () => {
    await page.close();
    await proxy.close();
    upstream.reset();
  });
  afterAll(async () => {
    await browser.close();
    await server.close();
    await upstream.close();
  });

  /** Views a run as a page would, and stays until the browser would not reconnect any more. */
  function view(model: string): Promise<Seen> {
    const query = { q: 'hi', model, on_disconnect: 'grace=10', idempotency_key: model };
    return page.evaluate(
      (url) =>
        new Promise<Seen>((resolve) => {
          const seen: Seen = { text: '', end: '', ids: [], connections: 0 };
          const source = new EventSource(url);
          source.onopen = () => (seen.connections += 1);
          source.onmessage = ({ data, lastEventId }) => {
            seen.text += (JSON.parse(data as string) as { content: string }).content;
            seen.ids.push(lastEventId);
          };
          source.addEventListener('done', () => (seen.end += 'done'));
          source.onerror = () => {
            if (source.readyState === EventSource.CLOSED) resolve(seen);
          };
        }),
      `/v1/chat/stream?${new URLSearchParams(query).toString()}`,
    );
  }

  it('resumes by itself through cut connections, without a second generation', async () => {
    proxy.cutNextAfter(900, 1_300);
    const seen = await view('text_tokens-60_ms-30');
    expect(seen.text).toBe(textOf(60));
    expect(seen.end).toBe('done');
    expect(seen.ids.map((id) => Number(id.split(':')[1]))).toEqual(
      Array.from({ length: 60 }, (_, index) => index + 2),
    );
    expect(seen.connections).toBeGreaterThan(1);
    expect(upstream.requests).toHaveLength(1);
    expect(upstream.requests[0]!.closedEarly).toBe(false);
  });

  it('finds its run again when it was cut before the first id', async () => {
    proxy.cutNextAfter('event: sta');
    const seen = await view('text_tokens-20_wait-300');
    expect(seen).toMatchObject({ text: textOf(20), end: 'done' });
    expect(upstream.requests).toHaveLength(1);
  });
});
